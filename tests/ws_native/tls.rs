//! TLS on the same listener, with a certificate made for the test.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use voicefleet::rt;
use voicefleet::transport::ws::{ClientTls, HttpLimits, TlsError, WsConfig, server_tls};

use crate::fake_dialler::{FakeDialler, PATIENCE};
use crate::world::{CONNECTED, World};

/// A folder with `name.pem` and `name.key`, removed with the value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn certificate(name: &str) -> (Folder, PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = std::env::temp_dir().join(format!("voicefleet-tls-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (pem, key) = (folder.join("leaf.pem"), folder.join("leaf.key"));
    std::fs::write(&pem, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (Folder(folder), pem, key)
}

#[tokio::test]
async fn a_call_over_tls_with_its_certificate_trusted_and_not_otherwise() {
    let (_folder, pem, key) = certificate("call");
    let (_other_folder, other, _) = certificate("other");
    let limits = HttpLimits { tls_handshake: Duration::from_millis(300), ..HttpLimits::default() };
    let mut world = World::with(WsConfig::default(), 4, Some(server_tls(&pem, &key).unwrap()), limits).await;
    let url = format!("wss://localhost:{}/ws/demo", world.address.port());
    for trust in [ClientTls::File(pem), ClientTls::Insecure] {
        let mut dialler = FakeDialler::connect_with(&url, None, &trust).await.unwrap();
        dialler.say(CONNECTED).await;
        dialler.speak(20, 3).await;
        let mut call = world.call().await;
        call.fact().await;
        call.give_line(voicefleet::units::SampleRate::NARROW);
        dialler.settle().await;
        call.speak(20, 7);
        assert!(dialler.hear().await.is_ok());
    }
    for trust in [ClientTls::File(other), ClientTls::Public] {
        assert!(FakeDialler::connect_with(&url, None, &trust).await.is_err(), "{trust:?}");
    }
    assert!(FakeDialler::connect_with(&url.replace("wss", "ws"), None, &ClientTls::Public).await.is_err());
    // A client that never begins its handshake is cut off.
    let mut idle = TcpStream::connect(world.address).await.unwrap();
    assert!(matches!(rt::timeout(PATIENCE, idle.read(&mut [0; 8])).await, Some(Ok(0) | Err(_))));
}

#[test]
fn a_bad_certificate_or_key_is_named_with_its_file() {
    let (folder, pem, key) = certificate("bad");
    let empty = folder.0.join("empty.pem");
    std::fs::write(&empty, "nothing here").unwrap();
    let text = |result: Result<_, TlsError>| result.map(|_: tokio_rustls::TlsAcceptor| ()).unwrap_err().to_string();
    assert!(text(server_tls(&empty, &key)).contains("empty.pem"));
    assert!(text(server_tls(&folder.0.join("absent.pem"), &key)).contains("absent.pem"));
    assert!(text(server_tls(&pem, &empty)).contains("empty.pem"));
    let (_other, _, other_key) = certificate("bad-other");
    assert!(text(server_tls(&pem, &other_key)).contains("its own key"));
}
