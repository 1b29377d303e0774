//! SRTP of one leg over its life: contexts stay while their key stays, whatever else is re-negotiated, because a context that is made
//! anew forgets how often the sequence number wrapped, and audio is silent from then on. Allocates nothing.

use crate::wire::sdp::CryptoPlan;
use crate::wire::srtp::{OpenError, Receiver, SealError, Sender};

/// Both directions of a leg.
#[derive(Debug)]
pub(super) struct Secure {
    /// Is it agreed now?
    on: bool,
    /// The keys that were agreed last, with what was made of them; they outlast a while without encryption.
    made: Option<Made>,
}

#[derive(Debug)]
struct Made {
    plan: CryptoPlan,
    sender: Sender,
    receiver: Receiver,
}

impl Secure {
    pub(super) fn new(plan: Option<CryptoPlan>) -> Self {
        let mut secure = Self { on: false, made: None };
        secure.agree(plan);
        secure
    }

    /// What is agreed from now on.
    pub(super) fn agree(&mut self, plan: Option<CryptoPlan>) {
        self.on = plan.is_some();
        let Some(plan) = plan else { return };
        let Some(made) = &mut self.made else {
            let (sender, receiver) =
                (Sender::new(plan.suite, &plan.local), Receiver::new(plan.suite, &plan.remote));
            self.made = Some(Made { plan, sender, receiver });
            return;
        };
        if made.plan.local == plan.local {
            made.sender.set_suite(plan.suite);
        } else {
            made.sender = Sender::new(plan.suite, &plan.local);
        }
        if made.plan.remote == plan.remote {
            made.receiver.set_suite(plan.suite);
        } else {
            made.receiver = made.receiver.rekeyed(plan.suite, &plan.remote);
        }
        made.plan = plan;
    }

    fn agreed(&mut self) -> Option<&mut Made> {
        self.made.as_mut().filter(|_| self.on)
    }

    /// Opens a packet of the peer's where it must be sealed; its length.
    pub(super) fn open(&mut self, packet: &mut [u8]) -> Result<usize, OpenError> {
        self.agreed().map_or(Ok(packet.len()), |made| made.receiver.open(packet))
    }

    /// The same for a control packet.
    pub(super) fn open_control(&mut self, packet: &mut [u8]) -> Result<usize, OpenError> {
        self.agreed().map_or(Ok(packet.len()), |made| made.receiver.open_control(packet))
    }

    /// Seals the packet in the first `length` bytes where that is agreed; its length.
    pub(super) fn seal(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SealError> {
        self.agreed().map_or(Ok(length), |made| made.sender.seal(buffer, length))
    }

    /// The same for a control packet.
    pub(super) fn seal_control(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SealError> {
        self.agreed().map_or(Ok(length), |made| made.sender.seal_control(buffer, length))
    }
}
