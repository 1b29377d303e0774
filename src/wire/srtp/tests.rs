//! Sender against receiver: known packets, wraps, loss, disorder, replay, forgery, any bytes.

use proptest::prelude::*;

use super::*;
use crate::wire::rtp::RtpHeader;
use crate::wire::sdp::{CryptoKeys, KEY_BYTES};

const LONG: CryptoSuite = CryptoSuite::AesCm128HmacSha1_80;
const SHORT: CryptoSuite = CryptoSuite::AesCm128HmacSha1_32;

fn key(byte: u8) -> CryptoKeys {
    CryptoKeys(core::array::from_fn(|at| byte.wrapping_mul(31).wrapping_add(at as u8)))
}

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A plain packet of one stream.
fn plain(ssrc: u32, sequence: u16) -> Vec<u8> {
    let header = RtpHeader { payload_type: 8, marker: false, sequence, timestamp: 7, ssrc };
    let mut packet = vec![0; RtpHeader::BYTES];
    header.write(&mut packet).unwrap();
    packet.extend((0..160).map(|n: u16| (n ^ sequence) as u8));
    packet
}

fn sealed(sender: &mut Sender, plain: &[u8]) -> Vec<u8> {
    let mut buffer = [plain, &[0; RTP_TRAILER_BYTES]].concat();
    let length = sender.seal(&mut buffer, plain.len()).unwrap();
    buffer.truncate(length);
    buffer
}

fn sealed_control(sender: &mut Sender, plain: &[u8]) -> Vec<u8> {
    let mut buffer = [plain, &[0; CONTROL_TRAILER_BYTES]].concat();
    let length = sender.seal_control(&mut buffer, plain.len()).unwrap();
    buffer.truncate(length);
    buffer
}

/// What the receiver makes of a packet, whole or not at all.
fn opened(receiver: &mut Receiver, packet: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut copy = packet.to_vec();
    match receiver.open(&mut copy) {
        Ok(length) => Ok(copy[..length].to_vec()),
        Err(error) => {
            assert_eq!(copy, packet, "a refused packet is as it came");
            Err(error)
        }
    }
}

fn opened_control(receiver: &mut Receiver, packet: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut copy = packet.to_vec();
    receiver.open_control(&mut copy).map(|length| copy[..length].to_vec())
}

fn report(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x81, 201, 0, 7];
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x5a; 24]);
    packet
}

#[test]
fn known_packets_come_out_as_other_implementations_have_them() {
    // The packets of libsrtp's own validation, with the master key of RFC 3711 B.3.
    let master: [u8; KEY_BYTES] =
        bytes("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6").try_into().unwrap();
    let (mut sender, mut receiver) = (Sender::new(LONG, &CryptoKeys(master)), Receiver::new(LONG, &CryptoKeys(master)));
    let audio = bytes("800f1234decafbadcafebabeabababababababababababababababab");
    let on_the_wire = bytes("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb");
    assert_eq!(sealed(&mut sender, &audio), on_the_wire);
    assert_eq!(opened(&mut receiver, &on_the_wire), Ok(audio.clone()));
    let short = sealed(&mut Sender::new(SHORT, &CryptoKeys(master)), &audio);
    assert_eq!(short, on_the_wire[..on_the_wire.len() - 6], "the same packet with the first bytes of the same tag");
    let control = bytes("81c8000bcafebabeabababababababababababababababab");
    let on_the_wire = bytes("81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798");
    let _ = sealed_control(&mut sender, &control);
    assert_eq!(sealed_control(&mut sender, &control), on_the_wire, "the second packet has index 1");
    assert_eq!(opened_control(&mut receiver, &on_the_wire), Ok(control));
}

#[test]
fn three_wraps_are_followed_with_loss_and_disorder_over_each() {
    for suite in CryptoSuite::ALL {
        let (mut sender, mut receiver) = (Sender::new(suite, &key(1)), Receiver::new(suite, &key(1)));
        let mut held: Option<(Vec<u8>, Vec<u8>)> = None;
        let (mut sequence, mut taken) = (65_000_u16, 0);
        for at in 0..3 * 65_536 + 1_000_u32 {
            let clear = plain(7, sequence);
            let packet = sealed(&mut sender, &clear);
            let near_wrap = !(100..65_436).contains(&sequence);
            match at % 5 {
                // Lost; over the wrap itself whole stretches are.
                0 if near_wrap => {}
                _ if sequence < 20 && at > 66_000 => {}
                1 if near_wrap => held = Some((packet, clear)),
                _ => {
                    assert_eq!(opened(&mut receiver, &packet), Ok(clear), "packet {at}");
                    taken += 1;
                    if let Some((late, clear)) = held.take() {
                        assert_eq!(opened(&mut receiver, &late), Ok(clear), "late before {at}");
                        assert_eq!(opened(&mut receiver, &late), Err(OpenError::Replayed));
                    }
                }
            }
            sequence = sequence.wrapping_add(1);
        }
        assert!(taken > 190_000, "{taken}");
    }
}

#[test]
fn no_keystream_is_used_twice_over_wraps() {
    let mut sender = Sender::new(LONG, &key(1));
    let first = sealed(&mut sender, &plain(7, 100));
    for sequence in 101..=u16::MAX {
        let _ = sealed(&mut sender, &plain(7, sequence));
    }
    (0..100).for_each(|sequence| drop(sealed(&mut sender, &plain(7, sequence))));
    let second = sealed(&mut sender, &plain(7, 100));
    assert_eq!(first[..12], second[..12]);
    assert_ne!(first[12..], second[12..]);
}

#[test]
fn a_stream_whose_beginning_or_first_wrap_was_missed_is_still_understood() {
    let (mut sender, mut receiver) = (Sender::new(LONG, &key(1)), Receiver::new(LONG, &key(1)));
    let _ = sealed(&mut sender, &plain(7, u16::MAX));
    let after = sealed(&mut sender, &plain(7, 0));
    assert!(opened(&mut receiver, &after).is_ok());
    // And what came before the first index of all is no packet.
    let (mut sender, mut receiver) = (Sender::new(LONG, &key(2)), Receiver::new(LONG, &key(2)));
    assert!(opened(&mut receiver, &sealed(&mut sender, &plain(7, 3))).is_ok());
    let mut other = Sender::new(LONG, &key(2));
    assert_eq!(opened(&mut receiver, &sealed(&mut other, &plain(7, u16::MAX))), Err(OpenError::Replayed));
}

#[test]
fn a_new_key_counts_anew_or_goes_on() {
    let (mut sender, mut receiver) = (Sender::new(LONG, &key(1)), Receiver::new(LONG, &key(1)));
    for at in 0..70_000_u32 {
        let packet = sealed(&mut sender, &plain(7, at as u16));
        assert!(at % 1_000 != 0 || opened(&mut receiver, &packet).is_ok());
    }
    let anew = sealed(&mut Sender::new(LONG, &key(2)), &plain(7, 5_000));
    assert!(opened(&mut receiver.rekeyed(LONG, &key(2)), &anew).is_ok());
    let mut going_on = Sender::new(LONG, &key(2));
    let packets: Vec<_> = (0..70_000_u32).map(|at| sealed(&mut going_on, &plain(7, at as u16))).collect();
    assert!(opened(&mut receiver.rekeyed(LONG, &key(2)), &packets[69_999]).is_ok());
    assert_eq!(opened(&mut receiver.clone(), &packets[69_999]), Err(OpenError::Forged), "the old key is over");
}

#[test]
fn a_peer_may_have_some_streams_and_the_oldest_is_forgotten() {
    let mut receiver = Receiver::new(SHORT, &key(1));
    let mut senders = [(); 5].map(|()| Sender::new(SHORT, &key(1)));
    let mut firsts = Vec::new();
    for (ssrc, sender) in senders.iter_mut().enumerate() {
        let packet = sealed(sender, &plain(ssrc as u32, 9));
        assert!(opened(&mut receiver, &packet).is_ok());
        firsts.push(packet);
    }
    let again: Vec<_> = firsts[1..].iter().map(|packet| opened(&mut receiver, packet)).collect();
    assert_eq!(again, vec![Err(OpenError::Replayed); 4]);
    assert!(opened(&mut receiver, &firsts[0]).is_ok(), "forgotten");
}

#[test]
fn a_suite_may_change_under_the_same_key() {
    let (mut sender, mut receiver) = (Sender::new(LONG, &key(1)), Receiver::new(LONG, &key(1)));
    let before = sealed(&mut sender, &plain(7, 65_535));
    assert!(opened(&mut receiver, &before).is_ok());
    sender.set_suite(SHORT);
    receiver.set_suite(SHORT);
    let after = sealed(&mut sender, &plain(7, 0));
    assert_eq!((before.len() - plain(7, 0).len(), after.len() - plain(7, 0).len()), (10, 4));
    assert_eq!(opened(&mut receiver, &after), Ok(plain(7, 0)), "the count goes on");
}

#[test]
fn control_packets_must_be_encrypted_whole_and_new() {
    for suite in CryptoSuite::ALL {
        let (mut sender, mut receiver) = (Sender::new(suite, &key(1)), Receiver::new(suite, &key(1)));
        let packet = sealed_control(&mut sender, &report(7));
        assert_eq!(packet.len(), report(7).len() + 14, "the tag has 80 bits in both suites");
        let mut clear = packet.clone();
        clear[report(7).len()] &= 0x7f;
        assert_eq!(opened_control(&mut receiver, &clear), Err(OpenError::Clear));
        for short in 0..22 {
            assert_eq!(opened_control(&mut receiver, &packet[..short]), Err(OpenError::Malformed), "{short}");
        }
        assert_eq!(opened_control(&mut receiver, &packet), Ok(report(7)));
        assert_eq!(opened_control(&mut receiver, &packet), Err(OpenError::Replayed));
        assert_eq!(opened_control(&mut receiver, &sealed_control(&mut sender, &report(7))), Ok(report(7)));
    }
}

#[test]
fn what_cannot_be_sealed_is_told_and_left_alone() {
    let mut sender = Sender::new(LONG, &key(1));
    let mut packet = plain(7, 1);
    let length = packet.len();
    assert_eq!(sender.seal(&mut packet, length), Err(SealError::Room(length + 10)));
    assert_eq!(packet, plain(7, 1));
    assert!(matches!(sender.seal(&mut [0; 64], 20), Err(SealError::Packet(_))));
    assert_eq!(sender.seal_control(&mut [0; 64], 20), Err(SealError::Control));
    assert_eq!(sender.seal_control(&mut [0x80; 64], 7), Err(SealError::Control));
    assert_eq!(sender.seal(&mut vec![0x80; 70_000], 65_530), Err(SealError::Room(65_540)));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_and_change_nothing(data in prop::collection::vec(any::<u8>(), 0..120), rtp: bool, suite: bool) {
        let suite = CryptoSuite::ALL[usize::from(suite)];
        let mut receiver = Receiver::new(suite, &key(1));
        let mut data = data;
        // Half of them look like what they are not.
        if let (true, [first, second, ..]) = (rtp, data.as_mut_slice()) {
            (*first, *second) = (0x80 | *first & 0x1f, 8);
        }
        prop_assert!(opened(&mut receiver, &data).is_err());
        let mut copy = data.clone();
        prop_assert!(receiver.open_control(&mut copy).is_err() && copy == data);
        prop_assert!(receiver.streams_known() == 0);
    }

    #[test]
    fn a_changed_bit_or_another_key_is_found_out(sequence: u16, ssrc: u32, bit in 0_usize..172 * 8, suite: bool) {
        let suite = CryptoSuite::ALL[usize::from(suite)];
        let (mut sender, mut receiver) = (Sender::new(suite, &key(1)), Receiver::new(suite, &key(1)));
        let clear = plain(ssrc, sequence);
        let packet = sealed(&mut sender, &clear);
        let mut forged = packet.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(opened(&mut receiver, &forged).is_err());
        prop_assert_eq!(opened(&mut Receiver::new(suite, &key(2)), &packet), Err(OpenError::Forged));
        prop_assert_eq!(opened(&mut receiver, &clear), Err(OpenError::Forged), "plain RTP");
        prop_assert_eq!(opened(&mut receiver, &packet), Ok(clear));
    }

    #[test]
    fn each_packet_is_taken_once_however_they_come(
        start: u16,
        order in Just((0..60_usize).collect::<Vec<_>>()).prop_shuffle(),
        doubles in prop::collection::vec(0_usize..60, 0..60),
    ) {
        // Whatever the order, the first to come must not be one from before a wrap that the receiver cannot know of.
        let start = start & 0x7fff;
        let (mut sender, mut receiver) = (Sender::new(LONG, &key(3)), Receiver::new(LONG, &key(3)));
        let clear: Vec<_> = (0..60).map(|at| plain(9, start.wrapping_add(at))).collect();
        let packets: Vec<_> = clear.iter().map(|clear| sealed(&mut sender, clear)).collect();
        for at in order {
            prop_assert_eq!(opened(&mut receiver, &packets[at]), Ok(clear[at].clone()));
        }
        for at in doubles {
            prop_assert_eq!(opened(&mut receiver, &packets[at]), Err(OpenError::Replayed));
        }
    }
}
