//! The recorder thread from outside: real files, the real thread, a disk that is full.

use std::time::Duration;

use super::*;
use crate::record::scratch::Scratch;

const LONG: Duration = Duration::from_secs(30);

fn start(dir: &Scratch, max_bytes: u64) -> (Recorder, RecorderThread) {
    Recorder::start(dir.path(), &Config { max_bytes, min_free_bytes: 0 }, 4).unwrap()
}

fn samples(path: &Path) -> Vec<i16> {
    hound::WavReader::open(path).unwrap().samples::<i16>().map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_call_is_recorded_on_its_own_channels() {
    let dir = Scratch::new("recorder-call");
    let (recorder, thread) = start(&dir, 0);
    let path = dir.path().join("calls/a/recording.wav");
    let (id, mut writer) = recorder.open(path.clone(), SampleRate::WIDE).unwrap();
    let caller: Vec<i16> = (0..48_000).map(|n| (n % 1_000) as i16).collect();
    let bot: Vec<i16> = (0..48_000).map(|n| -((n % 777) as i16)).collect();
    for (caller, bot) in caller.chunks(320).zip(bot.chunks(320)) {
        writer.push(caller, bot);
    }
    assert!(writer.finish());
    let outcome = recorder.close(id, LONG).await;
    let bytes = std::fs::metadata(&path).unwrap().len();
    let expected = Recording { path: path.clone(), duration_ms: 3_000, bytes, lost_ms: 0, incomplete: None };
    assert_eq!(outcome, expected);
    let heard = samples(&path);
    assert_eq!(heard.iter().step_by(2).copied().collect::<Vec<_>>(), caller);
    assert_eq!(heard.iter().skip(1).step_by(2).copied().collect::<Vec<_>>(), bot);
    assert_eq!(recorder.stats().bytes_written, 48_000 * 4);
    assert!(thread.stop());
    assert_eq!(recorder.stats().free_blocks, 512, "every block came home");
}

#[tokio::test]
async fn a_step_that_panics_costs_no_recording_and_no_journal() {
    let dir = Scratch::new("recorder-panic");
    let (recorder, thread) = start(&dir, 0);
    let (id, mut writer) = recorder.open(dir.path().join("a/recording.wav"), SampleRate::NARROW).unwrap();
    let mut log = recorder.open_log(dir.path().join("a/journal")).unwrap();
    writer.push(&[1; 2_000], &[2; 2_000]);
    log.append(b"before\n");
    assert!(log.settle(LONG).await);
    thread.orders.send(Order::Panic).unwrap();
    writer.push(&[1; 2_000], &[2; 2_000]);
    log.append(b"after\n");
    assert!(writer.finish());
    let outcome = recorder.close(id, LONG).await;
    assert_eq!((outcome.duration_ms, outcome.incomplete), (500, None));
    assert_eq!(log.close(LONG).await, LogOutcome { lost_bytes: 0, closed: true });
    assert_eq!(std::fs::read(dir.path().join("a/journal")).unwrap(), b"before\nafter\n");
    assert!(thread.stop(), "the thread itself did not fall");
}

#[tokio::test]
async fn a_settled_journal_is_in_its_file() {
    let dir = Scratch::new("recorder-settle");
    let (recorder, thread) = start(&dir, 0);
    let mut log = recorder.open_log(dir.path().join("a/journal")).unwrap();
    log.append(b"one\n");
    assert!(log.settle(LONG).await);
    assert_eq!(std::fs::read(dir.path().join("a/journal")).unwrap(), b"one\n");
    assert!(thread.stop());
    assert!(!log.settle(LONG).await, "nobody writes any more");
}

#[tokio::test]
async fn a_full_quota_stops_the_recording_and_not_the_journal() {
    let dir = Scratch::new("recorder-quota");
    let (recorder, thread) = start(&dir, 20_000);
    let (id, mut writer) = recorder.open(dir.path().join("a/recording.wav"), SampleRate::NARROW).unwrap();
    for _ in 0..200 {
        writer.push(&[1; 160], &[2; 160]);
    }
    assert!(writer.finish());
    let outcome = recorder.close(id, LONG).await;
    assert_eq!(outcome.incomplete, Some(Incomplete::DiskFull));
    assert_eq!(outcome.duration_ms, 500, "two blocks of 8,000 bytes fit");
    assert_eq!(samples(&outcome.path).len(), 8_000);
    // The next call has no room for a recording and is served all the same.
    let (id, mut writer) = recorder.open(dir.path().join("b/recording.wav"), SampleRate::NARROW).unwrap();
    writer.push(&[1; 2_000], &[2; 2_000]);
    assert!(writer.finish());
    let outcome = recorder.close(id, LONG).await;
    assert_eq!((outcome.incomplete, outcome.duration_ms), (Some(Incomplete::DiskFull), 0));
    assert!(std::fs::metadata(dir.path()).is_ok());
    let mut log = recorder.open_log(dir.path().join("b/journal")).unwrap();
    log.append(&vec![b'x'; 30_000]);
    assert_eq!(log.close(LONG).await, LogOutcome { lost_bytes: 0, closed: true });
    assert_eq!(std::fs::metadata(dir.path().join("b/journal")).unwrap().len(), 30_000);
    assert!(thread.stop());
}

#[tokio::test]
async fn a_line_that_vanished_gives_what_there_is() {
    let dir = Scratch::new("recorder-vanish");
    let (recorder, thread) = start(&dir, 0);
    let (id, mut writer) = recorder.open(dir.path().join("recording.wav"), SampleRate::NARROW).unwrap();
    writer.push(&[1; 1_600], &[2; 1_600]);
    drop(writer);
    let outcome = recorder.close(id, LONG).await;
    assert_eq!((outcome.duration_ms, outcome.incomplete), (200, None));
    assert!(thread.stop());
}

#[tokio::test]
async fn stopping_ends_what_runs_and_later_calls_still_get_an_answer() {
    let dir = Scratch::new("recorder-stop");
    let (recorder, thread) = start(&dir, 0);
    let (running, mut writer) = recorder.open(dir.path().join("recording.wav"), SampleRate::NARROW).unwrap();
    writer.push(&[3; 2_000], &[4; 2_000]);
    assert!(thread.stop());
    assert_eq!(samples(&dir.path().join("recording.wav")).len(), 4_000);
    assert_eq!(recorder.close(running, LONG).await.incomplete, Some(Incomplete::NoAnswer));
    let refused = recorder.open(dir.path().join("late.wav"), SampleRate::NARROW);
    assert!(matches!(refused, Err(RecorderError::Stopped)));
}

#[tokio::test]
async fn journals_of_many_calls_keep_their_lines_in_order() {
    let dir = Scratch::new("recorder-logs");
    let (recorder, thread) = start(&dir, 0);
    let mut logs: Vec<_> =
        (0..20).map(|n| recorder.open_log(dir.path().join(format!("{n}/journal"))).unwrap()).collect();
    for line in 0..300 {
        for log in &mut logs {
            log.append(format!("{line}\n").as_bytes());
        }
    }
    for log in logs {
        assert_eq!(log.close(LONG).await, LogOutcome { lost_bytes: 0, closed: true });
    }
    let expected: String = (0..300).map(|n| format!("{n}\n")).collect();
    for n in 0..20 {
        assert_eq!(std::fs::read_to_string(dir.path().join(format!("{n}/journal"))).unwrap(), expected);
    }
    assert!(thread.stop());
}

/// The thread's state without the thread, so that time is an argument.
fn desk(dir: &Scratch) -> (Desk, Arc<BlockPool>, crossbeam::channel::Sender<Order>) {
    let pool = BlockPool::new(8);
    let (sender, orders) = bounded(ORDERS);
    let space = Space::new(dir.path(), None, 0, rt::now());
    (Desk::new(Arc::clone(&pool), orders, space, Arc::default()), pool, sender)
}

#[test]
fn a_recording_that_was_not_ended_is_closed_after_the_grace() {
    let dir = Scratch::new("recorder-grace");
    let (mut desk, pool, orders) = desk(&dir);
    let path = dir.path().join("recording.wav");
    let mut writer = crate::record::BlockWriter::new(pool, 1);
    // The block is there before its order was looked at.
    orders.send(Order::Open { id: 1, path: path.clone(), rate: SampleRate::NARROW }).unwrap();
    writer.push(&[3; 2_100], &[4; 2_100]);
    assert!(!desk.write_burst());
    let (reply, mut outcome) = oneshot::channel();
    desk.obey(Order::Close { id: 1, reply });
    desk.sweep(rt::now());
    assert!(outcome.try_recv().is_err(), "the last block may still come");
    desk.sweep(rt::now().plus_ms(GRACE_MS));
    let outcome = outcome.try_recv().unwrap();
    assert_eq!((outcome.incomplete, outcome.duration_ms), (Some(Incomplete::CutOff), 250));
    assert_eq!(samples(&path).len(), 4_000);
    assert!(desk.tapes.is_empty());
}

#[test]
fn a_recording_that_everybody_forgot_does_not_stay_open() {
    let dir = Scratch::new("recorder-forgotten");
    let (mut desk, pool, _orders) = desk(&dir);
    let path = dir.path().join("recording.wav");
    desk.obey(Order::Open { id: 1, path: path.clone(), rate: SampleRate::NARROW });
    crate::record::BlockWriter::new(pool, 1).push(&[3; 100], &[4; 100]);
    assert!(!desk.write_burst());
    desk.sweep(rt::now().plus_ms(ABANDONED_MS - 1_000));
    assert_eq!(desk.tapes.len(), 1);
    desk.sweep(rt::now().plus_ms(ABANDONED_MS));
    assert!(desk.tapes.is_empty());
    assert_eq!(samples(&path).len(), 200);
}
