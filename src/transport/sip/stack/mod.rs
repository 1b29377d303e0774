//! The transaction engine (RFC 3261 section 17, RFC 6026) behind a boundary of our own: messages of `wire::sip` in and out, nothing
//! of the crate beneath. It owns no socket and no dialog; retransmissions, timers and the absorption of duplicates are its work.

mod rsip;

pub use rsip::Engine;
pub(super) use rsip::OWN_MARK;

use tokio::sync::mpsc;

use crate::wire::sip::Message;

/// Events of one transaction that wait to be read. Full: the event waits, which stops that transaction alone.
const EVENTS: usize = 16;

/// What happens to a request of the peer.
#[derive(Clone, Debug)]
pub enum ServerEvent {
    /// Our 2xx was acknowledged.
    Ack(Box<Message>),
    /// The INVITE is cancelled; the CANCEL itself is answered already.
    Cancelled,
}

/// A request of the peer, to be answered.
#[derive(Debug)]
pub struct ServerTransaction {
    /// The request.
    pub request: Message,
    /// Where it came from.
    pub flow: super::Flow,
    respond: rsip::Responder,
    events: mpsc::Receiver<ServerEvent>,
}

impl ServerTransaction {
    /// Sends a response; a final one is repeated as the protocol wants it.
    pub fn respond(&mut self, response: &Message) {
        self.respond.send(response);
    }

    /// The next event; `None` when the transaction is over. After a 2xx to an INVITE that means: nobody acknowledged it, unless an
    /// `Ack` came before.
    pub async fn next(&mut self) -> Option<ServerEvent> {
        self.events.recv().await
    }
}

/// What happens to a request of ours.
#[derive(Clone, Debug)]
pub enum ClientEvent {
    /// A response; after a final one nothing follows.
    Response(Box<Message>),
    /// Nobody answered in time.
    TimedOut,
    /// The message did not leave: a fault of ours, which says nothing of the peer.
    Unsent,
}

/// A request of ours, to be waited for. Dropping it stops listening, not the transaction.
#[derive(Debug)]
pub struct ClientTransaction {
    unsent: bool,
    events: mpsc::Receiver<ClientEvent>,
}

impl ClientTransaction {
    /// The next event; `None` when the transaction is over.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        let event = self.events.recv().await;
        self.unsent |= matches!(event, Some(ClientEvent::Unsent));
        event
    }

    /// It ended because the message did not leave.
    pub const fn is_unsent(&self) -> bool {
        self.unsent
    }

    /// The final response, provisional ones let go; `None` where none came.
    pub async fn last(&mut self) -> Option<Message> {
        while let Some(event) = self.next().await {
            match event {
                ClientEvent::Response(response) if response.status().is_some_and(|status| status >= 200) => {
                    return Some(*response);
                }
                ClientEvent::Response(_) => {}
                ClientEvent::TimedOut | ClientEvent::Unsent => return None,
            }
        }
        None
    }
}
