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
            let (sender, receiver) = (Sender::new(plan.suite, &plan.local), Receiver::new(plan.suite, &plan.remote));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtp::RtpHeader;
    use crate::wire::sdp::{CryptoKeys, CryptoSuite, KEY_BYTES};
    use crate::wire::srtp::RTP_TRAILER_BYTES;

    const LONG: CryptoSuite = CryptoSuite::AesCm128HmacSha1_80;
    const SHORT: CryptoSuite = CryptoSuite::AesCm128HmacSha1_32;

    fn plan(suite: CryptoSuite, local: u8, remote: u8) -> Option<CryptoPlan> {
        Some(CryptoPlan { suite, local: CryptoKeys([local; KEY_BYTES]), remote: CryptoKeys([remote; KEY_BYTES]) })
    }

    /// A packet with this number goes from one to the other.
    fn passes(from: &mut Secure, to: &mut Secure, sequence: u32) -> Result<usize, OpenError> {
        let header = RtpHeader { sequence: sequence as u16, ssrc: 9, ..Default::default() };
        let mut packet = [0x55; RtpHeader::BYTES + 20 + RTP_TRAILER_BYTES];
        header.write(&mut packet).unwrap();
        let length = from.seal(&mut packet, RtpHeader::BYTES + 20).unwrap();
        to.open(&mut packet[..length])
    }

    #[test]
    fn wraps_are_remembered_whatever_is_agreed_while_the_key_stays() {
        let (mut ours, mut theirs) = (Secure::new(plan(LONG, 1, 2)), Secure::new(plan(LONG, 2, 1)));
        for sequence in 20_000..3 * 65_536_u32 {
            match sequence {
                // A hold: the same again.
                70_000 => ours.agree(plan(LONG, 1, 2)),
                // Both go without for a while.
                140_000 => [&mut ours, &mut theirs].into_iter().for_each(|one| one.agree(None)),
                141_000 => {
                    ours.agree(plan(LONG, 1, 2));
                    theirs.agree(plan(LONG, 2, 1));
                }
                // Another tag, in both directions.
                150_000 => {
                    ours.agree(plan(SHORT, 1, 2));
                    theirs.agree(plan(SHORT, 2, 1));
                }
                // The peer's key alone is another: what we send goes on.
                160_000 => {
                    ours.agree(plan(SHORT, 1, 3));
                    theirs.agree(plan(SHORT, 3, 1));
                }
                _ => {}
            }
            assert_eq!(passes(&mut ours, &mut theirs, sequence), Ok(32), "ours, {sequence}");
            if sequence < 160_000 {
                assert_eq!(passes(&mut theirs, &mut ours, sequence), Ok(32), "theirs, {sequence}");
            }
        }
        // A peer that forgot the wraps would understand nothing of it.
        let mut forgetful = Secure::new(plan(SHORT, 3, 1));
        assert_eq!(passes(&mut ours, &mut forgetful, 3 * 65_536), Err(OpenError::Forged));
        // Nor does one with another key; and where nothing is agreed everything passes as it is.
        let mut other = Secure::new(plan(SHORT, 3, 4));
        assert_eq!(passes(&mut ours, &mut other, 3 * 65_536 + 1), Err(OpenError::Forged));
        assert_eq!(passes(&mut Secure::new(None), &mut Secure::new(None), 1), Ok(32));
    }
}
