//! Waits for what a test cannot be told of, and says what came instead. Never longer than a minute.

use std::time::Duration;

use voicefleet::rt;

/// Waits until `holds`; fails with what `otherwise` says.
pub async fn until(holds: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let waited = rt::timeout(Duration::from_secs(60), async {
        while !holds() {
            rt::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_some(), "{}", otherwise());
}
