//! Recordings and logs on a disk that refuses to write: at once, in the middle of a sample, in the middle of a line, and for a while.

use super::*;
use crate::journal::{self, Entry, Header, Note};
use crate::record::scratch::{Scratch, apart, files_of_at_most};

const WHOLE: u64 = 2_000;

fn block(first_frame: u64, len: u32, value: i16) -> Box<RecordBlock> {
    let mut block = RecordBlock::empty();
    block.first_frame = first_frame;
    block.len = len;
    block.samples.fill(value);
    block
}

fn wav(dir: &Scratch, space: &mut Space) -> WavFile {
    WavFile::create(dir.path().join("r.wav"), SampleRate::NARROW, space, Moment::ZERO)
}

#[test]
fn a_write_that_fails_in_the_middle_of_a_sample_leaves_whole_ones_that_play() {
    apart(
        concat!(module_path!(), "::a_write_that_fails_in_the_middle_of_a_sample_leaves_whole_ones_that_play"),
        || {
            let dir = Scratch::new("refusal-torn");
            let (whole, torn) = (HEADER_BYTES + WHOLE * FRAME_BYTES, 1_001 * FRAME_BYTES + 3);
            let mut space = Space::new(dir.path(), Some(2 * whole), 0, Moment::ZERO);
            let mut wav = wav(&dir, &mut space);
            wav.write(&block(0, WHOLE as u32, 1), &mut space);
            files_of_at_most(Some(whole + torn));
            wav.write(&block(WHOLE, WHOLE as u32, 2), &mut space);
            assert_eq!((wav.incomplete, wav.frames, wav.is_open()), (Some(Incomplete::IoError), WHOLE + 1_001, false));
            wav.write(&block(2 * WHOLE, 1, 3), &mut space);
            wav.tick(Moment::from_millis(PATCH_EVERY_MS));
            wav.finish();
            let length = std::fs::metadata(&wav.path).unwrap().len();
            assert_eq!((length, wav.file_bytes()), (whole + torn - 3, whole + torn - 3), "the torn sample is cut off");
            let samples: Vec<i16> = hound::WavReader::open(&wav.path).unwrap().samples().map(Result::unwrap).collect();
            let (before, after) = samples.split_at(2 * WHOLE as usize);
            assert!(before.iter().all(|&s| s == 1) && after.iter().all(|&s| s == 2) && after.len() == 2_002);
            let left = 2 * whole - length;
            assert!(
                space.has_room_for(left) && !space.has_room_for(left + 1),
                "what is there counts, and nothing else"
            );
        },
    );
}

#[test]
fn a_disk_that_is_full_in_mid_call_ends_the_recording_where_it_stands() {
    // The first where audio is due, the second where it is the silence of lost blocks.
    for first_frame in [100, 50_000] {
        let dir = Scratch::new("refusal-full");
        let mut space = Space::new(dir.path(), Some(10_000_000), 0, Moment::ZERO);
        let mut wav = wav(&dir, &mut space);
        wav.write(&block(0, 100, 1), &mut space);
        wav.tick(Moment::from_millis(PATCH_EVERY_MS));
        wav.file = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
        wav.write(&block(first_frame, 100, 2), &mut space);
        let found = (wav.incomplete, wav.frames, wav.lost_frames, wav.is_open());
        assert_eq!(found, (Some(Incomplete::DiskFull), 100, 0, false), "block at {first_frame}");
        wav.write(&block(first_frame + 100, 100, 3), &mut space);
        assert_eq!((wav.frames, wav.file_bytes()), (100, HEADER_BYTES + 100 * FRAME_BYTES));
        let left = 10_000_000 - wav.file_bytes();
        assert!(space.has_room_for(left) && !space.has_room_for(left + 1), "nothing that was refused counts");
        assert_eq!(hound::WavReader::open(&wav.path).unwrap().duration(), 100);
    }
}

#[test]
fn after_a_torn_line_a_journal_goes_on_with_a_line_of_its_own() {
    apart(concat!(module_path!(), "::after_a_torn_line_a_journal_goes_on_with_a_line_of_its_own"), || {
        let dir = Scratch::new("refusal-journal");
        let mut space = Space::new(dir.path(), Some(1_000_000), 0, Moment::ZERO);
        let path = dir.path().join("journal");
        let mut log = LogFile::open(path.clone());
        let mut kept = 0;
        let line = |at_us| {
            let line = journal::Line { at_us, entry: Entry::Note(Note::Answered) };
            serde_json::to_string(&line).unwrap() + "\n"
        };
        let header = Header {
            version: journal::VERSION,
            call_id: "c".to_owned(),
            bot: "b".to_owned(),
            bot_version: String::new(),
            started: crate::units::Stamp::from_unix_ms(0),
        };
        let header = serde_json::to_string(&header).unwrap() + "\n";
        for text in [header, line(1)] {
            log.append(text.as_bytes(), &mut space);
            kept += text.len() as u64;
        }
        // The disk is full in the middle of the next line, stays so for another, and then has room again.
        files_of_at_most(Some(kept + 7));
        let (torn, refused, late) = (line(2), line(3), line(4));
        log.append(torn.as_bytes(), &mut space);
        assert_eq!(log.lost_bytes, torn.len() as u64);
        log.append(refused.as_bytes(), &mut space);
        assert_eq!(log.lost_bytes, (torn.len() + refused.len()) as u64, "counted whole");
        files_of_at_most(None);
        log.append(late.as_bytes(), &mut space);
        log.append(line(5).as_bytes(), &mut space);
        assert_eq!(log.lost_bytes, (torn.len() + refused.len()) as u64);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(&bytes[kept as usize..], format!("{}\n{late}{}", &torn[..7], line(5)).as_bytes());
        let read = journal::read(&bytes);
        assert!(read.header.is_some() && !read.torn, "{read:?}");
        assert_eq!(read.lines.iter().map(|line| line.at_us).collect::<Vec<_>>(), [1, 4, 5]);
        assert_eq!(read.unread.iter().map(|unread| unread.line).collect::<Vec<_>>(), [3], "only the torn line");
    });
}
