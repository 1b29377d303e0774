//! A plain HTTP request, whole, as a balancer or an operator's browser sends it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use voicefleet::rt;

use crate::world::PATIENCE;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

pub async fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path, "").await
}

/// A `POST` without a body.
pub async fn post(address: SocketAddr, path: &str, headers: &str) -> Answer {
    request(address, "POST", path, &format!("Content-Length: 0\r\n{headers}")).await
}

/// Posts a body.
pub async fn send(address: SocketAddr, path: &str, body: &str) -> Answer {
    request(address, "POST", path, &format!("Content-Length: {}\r\n\r\n{body}", body.len())).await
}

/// A request for the upgrade, by hand, so that the answer before the upgrade is seen as it is.
pub async fn upgrade(address: SocketAddr, path: &str, headers: &str) -> Answer {
    let ask = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
               Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    request(address, "GET", path, &format!("{ask}{headers}")).await
}

pub async fn request(address: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    let text = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
    let answer = rt::timeout(PATIENCE, exchange(address, &text)).await;
    answer.expect("an answer in time").expect("an HTTP answer")
}

async fn exchange(address: SocketAddr, text: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(text.as_bytes()).await?;
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).to_ascii_lowercase();
    let length = header(&head, "content-length").and_then(|v| v.parse::<usize>().ok()).unwrap_or(0);
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            break;
        }
    }
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let body = String::from_utf8_lossy(&bytes[head_end + 4..]).into_owned();
    Ok(Answer { status, head, body })
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}
