//! A call that a leg places for itself and goes on in: placed without audio of its own, handed over when it is answered, ended where
//! nobody takes it. Never becomes a call of the application's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::{OutboundCall, Placing};
use crate::call::LegOrder;
use crate::rt;
use crate::transport::sip::core::{Core, Registered};
use crate::transport::sip::dialog::Dialog;
use crate::transport::sip::flow::Called;
use crate::transport::sip::gate::Place;
use crate::transport::sip::host::{MediaPort, SipEnd, SipLink};
use crate::transport::sip::stack::ServerTransaction;
use crate::transport::sip::timer;
use crate::trunk::Trunk;
use crate::wire::sdp::{MediaPlan, Negotiator};

/// An answered call whose dialog another leg goes on in.
pub(in crate::transport::sip) struct Taken {
    pub dialog: Dialog,
    pub row: Registered,
    pub requests: mpsc::Receiver<ServerTransaction>,
    pub sdp: Negotiator,
    pub plan: MediaPlan,
    pub session: Option<timer::Session>,
    pub updates: bool,
    pub channel: Place,
    /// The way that it was called by.
    pub known: Called,
}

impl Taken {
    /// BYE: nobody goes on in it.
    pub(super) async fn leave(mut self, core: &Core) {
        let bye = self.dialog.request("BYE");
        if let Some(mut transaction) = core.send(&bye, &self.dialog.towards()).await {
            let _ = rt::timeout(Duration::from_millis(core.config.hang_up_ms), transaction.last()).await;
        }
    }
}

/// A call that a leg has placed for itself. Dropping it cancels the call, or ends it where it was answered in that moment.
pub(in crate::transport::sip) struct Following {
    core: Arc<Core>,
    outcome: oneshot::Receiver<Result<Box<Taken>, u16>>,
    _orders: mpsc::Sender<LegOrder>,
}

impl Following {
    /// The answered call, or the status that it ended with (0: none came).
    pub async fn outcome(&mut self) -> Result<Box<Taken>, u16> {
        (&mut self.outcome).await.unwrap_or(Err(0))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.outcome.close();
        // An answer that was handed over and that nobody took must not stay an open line.
        if let Ok(Ok(taken)) = self.outcome.try_recv() {
            let core = Arc::clone(&self.core);
            rt::spawn("sip untaken call", async move { taken.leave(&core).await });
        }
    }
}

/// Places a call that a leg will go on in: with the leg's own audio port and the codec that it has.
pub(in crate::transport::sip) fn follow(
    core: Arc<Core>,
    trunk: Arc<Trunk>,
    sdp: Negotiator,
    call: OutboundCall,
    local: SocketAddr,
    channel: Place,
) -> Following {
    // Nobody reads its facts: the leg that waits has said all that there is to say.
    let (link, SipEnd { orders, .. }) = SipLink::pair();
    let (then, outcome) = oneshot::channel();
    let mut placing = Placing::new(Arc::clone(&core), trunk, sdp, call, (Mute(local), link));
    placing.then = Some(then);
    rt::spawn("sip followed call", placing.run(channel));
    Following { core, outcome, _orders: orders }
}

/// The audio of a call that is not one's own yet: nobody hears what plays before its answer.
struct Mute(SocketAddr);

impl MediaPort for Mute {
    fn id(&self) -> u64 {
        0
    }

    fn local(&self) -> SocketAddr {
        self.0
    }

    fn start(&mut self, _plan: MediaPlan) {}

    fn change(&mut self, _plan: MediaPlan) {}

    fn press(&mut self, _key: char) -> bool {
        false
    }

    fn stop(&mut self) {}
}
