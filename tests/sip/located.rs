//! Where a trunk's target is, by SRV: a name server of the test's own tells it, and calls go there in the order that it names.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::UdpSocket;
use voicefleet::call::{EndReason, LegFact};
use voicefleet::rt;
use voicefleet::transport::sip::SipConfig;

use super::outbound::place;
use super::peer::Peer;
use super::world::{World, config, facts, trunk};

/// A name server that knows one name's records (priority, weight, port; all of this machine, for a minute), and how often it was asked.
struct Names {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    task: tokio::task::AbortHandle,
}

impl Drop for Names {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Names {
    /// `lost` questions are not answered; then each is, by a stray datagram and the answer behind it.
    async fn new(name: &'static str, records: Vec<(u16, u16, u16)>, lost: usize) -> Self {
        Self::that_hold(60, name, records, lost).await
    }

    /// Its answers hold for so many seconds.
    async fn that_hold(ttl_s: u8, name: &'static str, records: Vec<(u16, u16, u16)>, lost: usize) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked: Arc<AtomicUsize> = Arc::default();
        let count = Arc::clone(&asked);
        let work = async move {
            let mut buffer = [0; 1_024];
            loop {
                let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
                if count.fetch_add(1, Ordering::AcqRel) < lost {
                    continue;
                }
                let question = &buffer[..length];
                let labels: Vec<u8> =
                    name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
                let known = question[12..].starts_with(&[labels, vec![0, 0, 33, 0, 1]].concat());
                let mut answer = question.to_vec();
                // Ours, recursion there, and whether there is such a name.
                (answer[2], answer[3]) = (0x81, if known { 0x80 } else { 0x83 });
                if known {
                    answer[7] = records.len() as u8;
                    for (priority, weight, port) in &records {
                        answer.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, ttl_s, 0, 17]);
                        answer.extend([priority, weight, port].iter().flat_map(|number| number.to_be_bytes()));
                        answer.extend(b"\x03127\x010\x010\x011\0");
                    }
                }
                let mut stray = answer.clone();
                stray[0] ^= 1;
                let _ = socket.send_to(&stray, from).await;
                let _ = socket.send_to(&answer, from).await;
            }
        };
        Self { address, asked, task: rt::spawn("test name server", work).abort_handle() }
    }
}

async fn world(names: &Names, outbound: &str) -> World {
    let config = SipConfig { resolver: names.address.to_string(), ..config(100) };
    World::new(trunk(&format!("[outbound]\nfirst_answer_ms = 500\n{outbound}")), config).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_without_a_port_is_where_its_records_say_and_in_their_order() {
    // The first is busy for everybody, so that the second is tried; the third never is.
    let (mut full, mut good, mut spare) =
        (Peer::of(&[("INVITE", 503)]).await, Peer::of(&[("INVITE", 486)]).await, Peer::of(&[("INVITE", 486)]).await);
    let records = vec![(30, 0, spare.address.port()), (10, 5, full.address.port()), (20, 0, good.address.port())];
    let names = Names::new("_sip._udp.carrier.example", records, 0).await;
    let world = world(&names, "targets = [\"carrier.example\"]\n").await;
    let (facts, report) = facts(place(&world)).await;
    assert_eq!((facts, report.status), (vec![LegFact::Unreached(EndReason::Busy)], 486));
    let invite = full.next().await;
    assert_eq!(invite.uri(), Some("sip:+919800000001@carrier.example"), "the name stays what is called");
    assert_eq!((full.methods(), good.methods(), spare.methods()), (vec![], vec!["INVITE".to_owned()], vec![]));
    assert_eq!(names.asked.load(Ordering::Acquire), 1);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_question_is_asked_again_and_of_two_equals_both_are_called() {
    let (mut one, mut other) = (Peer::of(&[("INVITE", 486)]).await, Peer::of(&[("INVITE", 486)]).await);
    let records = vec![(10, 1, one.address.port()), (10, 1, other.address.port())];
    let names = Names::new("_sip._udp.carrier.example", records, 1).await;
    let world = world(&names, "targets = [\"carrier.example\"]\n").await;
    // Alone of one side all the time: once in 2^39.
    let mut first = [0, 0];
    for _ in 0..40 {
        assert_eq!(facts(place(&world)).await.0, [LegFact::Unreached(EndReason::Busy)]);
        first[0] += one.methods().len();
        first[1] += other.methods().len();
    }
    assert!(first[0] > 0 && first[1] > 0 && first[0] + first[1] == 40, "{first:?}");
    assert_eq!(names.asked.load(Ordering::Acquire), 2, "an answer holds for the time that it says");
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_name_server_is_gone_calls_go_where_it_said_last() {
    let mut peer = Peer::of(&[("INVITE", 486)]).await;
    let records = vec![(10, 1, peer.address.port())];
    let names = Names::that_hold(0, "_sip._udp.carrier.example", records, 0).await;
    let world = world(&names, "targets = [\"carrier.example\"]\n").await;
    for asked in [1, 2] {
        assert_eq!(facts(place(&world)).await.0, [LegFact::Unreached(EndReason::Busy)]);
        assert_eq!(names.asked.load(Ordering::Acquire), asked, "an answer for no time is asked for each time");
    }
    names.task.abort();
    for _ in 0..2 {
        assert_eq!(facts(place(&world)).await.0, [LegFact::Unreached(EndReason::Busy)]);
    }
    assert_eq!(peer.methods().len(), 4);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_records_or_with_a_port_it_is_the_hosts_own_address() {
    let mut peer = Peer::of(&[("INVITE", 486)]).await;
    let port = peer.address.port();
    // It knows no such name; and a port is never asked for.
    let names = Names::new("_sip._udp.carrier.example", vec![(10, 0, 9)], 0).await;
    let world = world(&names, &format!("targets = [\"localhost\", \"127.0.0.1:{port}\"]\n")).await;
    let (facts, report) = facts(place(&world)).await;
    assert_eq!((facts, report.status), (vec![LegFact::Unreached(EndReason::Busy)], 486), "5060 of localhost is nobody");
    assert_eq!(peer.methods(), ["INVITE"]);
    assert_eq!(names.asked.load(Ordering::Acquire), 1);
    world.settle().await;
}
