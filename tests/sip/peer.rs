//! A carrier's address in the test's hands: what comes is written down, what goes back is the test's to say.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use voicefleet::rt;
use voicefleet::wire::sip::Message;

use super::world::LIMIT;

static TAGS: AtomicUsize = AtomicUsize::new(0);

/// One UDP address.
pub struct Peer {
    pub address: SocketAddr,
    seen: mpsc::UnboundedReceiver<Message>,
    task: tokio::task::AbortHandle,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    /// Answers every request but an ACK by `answer`, or not at all; each is seen once, however often it is repeated.
    pub async fn new(mut answer: impl FnMut(&Message) -> Option<Message> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test reads what it asked for")]
        let (sender, seen) = mpsc::unbounded_channel();
        let work = async move {
            let mut buffer = vec![0; 65_535];
            let mut last = String::new();
            let mut response = None;
            loop {
                // A closed port of the other end shows here.
                let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
                let Ok(request) = Message::parse(&buffer[..length]) else { continue };
                if request.method().is_none_or(|method| method == "ACK") {
                    continue;
                }
                // A CANCEL has the Via of what it cancels.
                let id = format!("{} {}", request.method().unwrap_or_default(), request.get("Via").unwrap());
                if id != last {
                    response = answer(&request).map(|response| response.to_bytes());
                    last = id;
                    let _ = sender.send(request);
                }
                if let Some(response) = &response {
                    let _ = socket.send_to(response, from).await;
                }
            }
        };
        let task = rt::spawn("test peer", work).abort_handle();
        Self { address, seen, task }
    }

    /// One that answers every method by the same status, those that it does not know not at all.
    pub async fn of(statuses: &'static [(&'static str, u16)]) -> Self {
        Self::new(move |request| {
            let status = statuses.iter().find(|(method, _)| request.method() == Some(method))?.1;
            Some(respond(request, status))
        })
        .await
    }

    /// The next request.
    pub async fn next(&mut self) -> Message {
        rt::timeout(LIMIT, self.seen.recv()).await.expect("a request in time").unwrap()
    }

    /// All requests that came so far and were not read.
    pub fn seen_so_far(&mut self) -> Vec<Message> {
        let next = || self.seen.try_recv().ok();
        std::iter::from_fn(next).collect()
    }

    /// Their methods.
    pub fn methods(&mut self) -> Vec<String> {
        let next = || self.seen.try_recv().ok();
        std::iter::from_fn(next).map(|request| request.method().unwrap().to_owned()).collect()
    }
}

/// A response with a tag of its own.
pub fn respond(request: &Message, status: u16) -> Message {
    Message::response(request, status, "", &format!("peer{}", TAGS.fetch_add(1, Ordering::Relaxed)))
}
