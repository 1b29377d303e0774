//! A caller in the test's hands, message by message: it builds what it is told to and reads what comes, each message once.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::UdpSocket;
use voicefleet::rt;
use voicefleet::wire::sip::{Address, CSeq, Message, parameter};

/// How long a message may take before a test fails.
const LIMIT: Duration = Duration::from_secs(30);

static CALLS: AtomicUsize = AtomicUsize::new(0);

/// A plain offer of A-law with events.
pub const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                         m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

/// One phone with one dialog.
pub struct Phone {
    socket: UdpSocket,
    pub to: SocketAddr,
    pub call_id: String,
    pub tag: String,
    pub their_tag: String,
    pub number: u32,
    /// The number of its last INVITE, which is that of the ACK too.
    invited: u32,
    pub seen: HashSet<Vec<u8>>,
}

impl Phone {
    pub async fn new(to: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let nth = CALLS.fetch_add(1, Ordering::Relaxed);
        let (call_id, tag) = (format!("phone{nth}@test"), format!("p{nth}"));
        Self { socket, to, call_id, tag, their_tag: String::new(), number: 0, invited: 0, seen: HashSet::new() }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// The next request; a body is a description.
    pub fn request(&mut self, method: &str, fields: &[(&str, &str)], body: &str) -> Message {
        if method != "ACK" {
            self.number += 1;
        }
        if method == "INVITE" {
            self.invited = self.number;
        }
        let number = if method == "ACK" { self.invited } else { self.number };
        let (at, nth) = (self.address(), CALLS.fetch_add(1, Ordering::Relaxed));
        let mut request = Message::request(method, &format!("sip:2000@{}", self.to));
        request.push("Via", &format!("SIP/2.0/UDP {at};branch=z9hG4bKphone{nth};rport"));
        request.push("Max-Forwards", "70");
        request.push("From", &format!("<sip:+919800000001@{at}>;tag={}", self.tag));
        let tag = if self.their_tag.is_empty() { String::new() } else { format!(";tag={}", self.their_tag) };
        request.push("To", &format!("<sip:2000@{}>{tag}", self.to));
        request.push("Call-ID", &self.call_id);
        request.push("CSeq", &format!("{number} {method}"));
        request.push("Contact", &format!("<sip:phone@{at}>"));
        fields.iter().for_each(|(name, value)| request.push(name, value));
        if !body.is_empty() {
            request.set_sdp(body);
        }
        request
    }

    pub async fn send(&self, message: &Message) {
        self.socket.send_to(&message.to_bytes(), self.to).await.unwrap();
    }

    pub async fn send_to(&self, message: &Message, to: SocketAddr) {
        self.socket.send_to(&message.to_bytes(), to).await.unwrap();
    }

    /// The next message that did not come before.
    pub async fn next(&mut self) -> Message {
        rt::timeout(LIMIT, self.read(true)).await.expect("a message in time")
    }

    /// The next message, a repetition too.
    pub async fn next_of_all(&mut self) -> Message {
        rt::timeout(LIMIT, self.read(false)).await.expect("a message in time")
    }

    async fn read(&mut self, fresh: bool) -> Message {
        let mut buffer = vec![0; 65_535];
        loop {
            let (length, _) = self.socket.recv_from(&mut buffer).await.unwrap();
            let bytes = buffer[..length].to_vec();
            let known = !self.seen.insert(bytes.clone());
            if !(fresh && known) {
                return Message::parse(&bytes).unwrap();
            }
        }
    }

    /// The next response to this method, 100 left out; remembers the tag.
    pub async fn response(&mut self, method: &str) -> Message {
        loop {
            let message = self.next().await;
            let of = message.get("CSeq").and_then(CSeq::parse).is_some_and(|cseq| cseq.method == method);
            if of && message.status().is_some_and(|status| status > 100) {
                if method == "INVITE" && self.their_tag.is_empty() {
                    self.their_tag = parameter(message.get("To").unwrap(), "tag").unwrap_or_default().to_owned();
                }
                return message;
            }
        }
    }

    /// The next request of this method.
    pub async fn asked(&mut self, method: &str) -> Message {
        loop {
            let message = self.next().await;
            if message.method() == Some(method) {
                return message;
            }
        }
    }

    pub async fn answer(&self, request: &Message, status: u16, body: &str) {
        self.answer_with(request, status, &[], body).await;
    }

    pub async fn answer_with(&self, request: &Message, status: u16, fields: &[(&str, &str)], body: &str) {
        let mut response = Message::response(request, status, "", &self.tag);
        response.push("Contact", &format!("<sip:phone@{}>", self.address()));
        fields.iter().for_each(|(name, value)| response.push(name, value));
        if !body.is_empty() {
            response.set_sdp(body);
        }
        self.send(&response).await;
    }

    /// Answers a request that came to whoever is behind `tag`.
    pub async fn says(&self, request: &Message, status: u16, tag: &str, body: &str) {
        let mut response = Message::response(request, status, "", tag);
        response.push("Contact", &format!("<sip:{tag}@{}>", self.address()));
        if !body.is_empty() {
            response.set_sdp(body);
        }
        let via = request.get("Via").unwrap();
        let from = via.split_whitespace().nth(1).unwrap().split(';').next().unwrap();
        self.send_to(&response, from.parse().unwrap()).await;
    }

    /// The same with further fields in place of a description.
    pub async fn says_with(&self, request: &Message, status: u16, tag: &str, fields: &[(&str, &str)]) {
        let mut response = Message::response(request, status, "", tag);
        response.push("Contact", &format!("<sip:{tag}@{}>", self.address()));
        fields.iter().for_each(|(name, value)| response.push(name, value));
        let via = request.get("Via").unwrap();
        let from = via.split_whitespace().nth(1).unwrap().split(';').next().unwrap();
        self.send_to(&response, from.parse().unwrap()).await;
    }

    /// Asks and waits for the final status.
    pub async fn ask(&mut self, method: &str, fields: &[(&str, &str)], body: &str) -> Message {
        let request = self.request(method, fields, body);
        self.send(&request).await;
        loop {
            let response = self.response(method).await;
            if response.status().unwrap() >= 200 {
                return response;
            }
        }
    }

    pub async fn ack(&mut self, body: &str) {
        let ack = self.request("ACK", &[], body);
        self.send(&ack).await;
    }

    /// From here on this phone is the one that `invite` called.
    pub fn begin_as_called(&mut self, invite: &Message, to: SocketAddr) {
        invite.get("Call-ID").unwrap().clone_into(&mut self.call_id);
        self.their_tag = parameter(invite.get("From").unwrap(), "tag").unwrap().to_owned();
        self.to = to;
    }

    /// A call that is up.
    pub async fn call(to: SocketAddr) -> Self {
        Self::call_with(to, &[]).await
    }

    /// A call that is up, its INVITE with these fields too.
    pub async fn call_with(to: SocketAddr, fields: &[(&str, &str)]) -> Self {
        let mut phone = Self::new(to).await;
        let answer = phone.ask("INVITE", fields, OFFER).await;
        assert_eq!(answer.status(), Some(200));
        assert!(Address::parse(answer.get("Contact").unwrap()).is_some());
        phone.ack("").await;
        phone
    }

    pub async fn hang_up(&mut self) {
        assert_eq!(self.ask("BYE", &[], "").await.status(), Some(200));
    }

    /// The `Replaces` by which somebody else names this dialog to us.
    pub fn replaces(&self) -> String {
        format!("{};to-tag={};from-tag={}", self.call_id, self.their_tag, self.tag)
    }
}
