//! A baresip of a test's own: its folder, its tone, its keys, what it wrote and what it heard. Ends with the test, by its process id.

use std::f64::consts::TAU;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use voicefleet::units::dbfs;

use crate::programs::program;
use crate::world::until;

/// The tone that it speaks with: between two harmonics of the stand-in's hum.
pub const TONE_HZ: f64 = 1_000.0;
/// The hum's second harmonic.
pub const HUM_HZ: f64 = 280.0;
/// Peak of the tone.
pub const TONE_PEAK: f64 = 8_000.0;
/// Silence before the tone, so that the greeting is not cut short.
const QUIET_S: u32 = 3;
/// Length of what it says; longer than any test.
const LENGTH_S: u32 = 60;

/// What it speaks: the name in its account, the rate and the channels of its source.
#[derive(Clone, Copy, Debug)]
pub struct Codec(pub &'static str, pub u32, pub u16);

pub const PCMU: Codec = Codec("pcmu/8000/1", 8_000, 1);
pub const PCMA: Codec = Codec("pcma/8000/1", 8_000, 1);
pub const G722: Codec = Codec("g722/16000/1", 16_000, 1);
pub const OPUS: Codec = Codec("opus/48000/2", 48_000, 2);

/// A running baresip.
pub struct Baresip {
    child: Child,
    keys: ChildStdin,
    folder: PathBuf,
}

impl Baresip {
    /// Starts it with a folder below `parent` and waits until it is ready.
    pub async fn start(parent: &Path, name: &str, codec: Codec) -> Self {
        Self::with(parent, name, codec, "", "").await
    }

    /// The same at a port of its own, where it answers whoever calls.
    pub async fn start_at(parent: &Path, name: &str, codec: Codec, port: u16) -> Self {
        Self::with(parent, name, codec, ";answermode=auto", &format!("sip_listen 127.0.0.1:{port}\n")).await
    }

    /// The same, saying `speech` in place of the tone, from the answer on.
    pub async fn start_with(parent: &Path, name: &str, codec: Codec, port: u16, speech: &[i16]) -> Self {
        let config = format!("sip_listen 127.0.0.1:{port}\n");
        Self::saying(parent, name, codec, (";answermode=auto", &config), speech).await
    }

    /// The same with further parameters of its account and lines of its configuration, which come before the others.
    pub async fn with(parent: &Path, name: &str, codec: Codec, account: &str, config: &str) -> Self {
        Self::saying(parent, name, codec, (account, config), &tone(codec.1)).await
    }

    async fn saying(parent: &Path, name: &str, codec: Codec, (account, config): (&str, &str), speech: &[i16]) -> Self {
        let folder = parent.join(format!("baresip-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        let source = folder.join("says.wav");
        write_speech(&source, codec, speech);
        let (says, at) = (source.display(), folder.display());
        let config = format!(
            "{config}sip_listen 127.0.0.1:0\nrtp_ports 10000-19998\nnet_interface 127.0.0.1\naudio_source aufile,{says}\naudio_player aubridge,nil\n\
             audio_alert aubridge,nil\nmodule_path /usr/lib/baresip/modules\nmodule stdio.so\nmodule g711.so\n\
             module g722.so\nmodule srtp.so\nmodule opus.so\nmodule sndfile.so\nmodule aubridge.so\nmodule aufile.so\n\
             module_tmp account.so\nmodule_app menu.so\nopus_stereo yes\nopus_sprop_stereo yes\nsnd_path {at}\n"
        );
        let account = format!("<sip:{name}@127.0.0.1>;regint=0;audio_codecs={}{account}\n", codec.0);
        for (file, text) in [("config", config.as_str()), ("accounts", &account), ("contacts", "")] {
            std::fs::write(folder.join(file), text).unwrap();
        }
        let log = std::fs::File::create(folder.join("log")).unwrap();
        // By lines, so that each is in the file when it happens; `stdbuf` becomes what it starts.
        let mut command = Command::new("stdbuf");
        command.arg("-oL").arg(program("baresip")).args(["-s", "-f"]).arg(&folder).stdin(Stdio::piped());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("stdbuf does not start: {error}"));
        let keys = child.stdin.take().unwrap();
        let baresip = Self { child, keys, folder };
        baresip.wrote("baresip is ready.", 1).await;
        baresip
    }

    /// Everything that it wrote so far, with each SIP message.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.join("log")).unwrap()).into_owned()
    }

    pub fn count(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }

    /// Waits until it has written `text` so many times.
    pub async fn wrote(&self, text: &str, times: usize) {
        until(|| self.count(text) >= times, || format!("no {times} × {text:?} in {}", self.log())).await;
    }

    /// Types on its keyboard.
    pub fn types(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    pub fn dial(&mut self, to: SocketAddr) {
        self.types(&format!("/dial sip:2000@{to}\n"));
    }

    /// Dials this and waits until the call is up.
    pub async fn call_uri(&mut self, uri: &str, nth: usize) {
        self.types(&format!("/dial {uri}\n"));
        self.wrote("Call established", nth).await;
    }

    /// Every key of SRTP that it sent or was sent.
    pub fn srtp_keys(&self) -> Vec<String> {
        let log = self.log();
        let key = |rest: &str| rest.split(['|', '\r', '\n', ' ']).next().unwrap_or_default().to_owned();
        let mut keys: Vec<String> = log.split("inline:").skip(1).map(key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Dials and waits until the call is up.
    pub async fn call(&mut self, to: SocketAddr, nth: usize) {
        self.dial(to);
        self.wrote("Call established", nth).await;
    }

    pub fn hang_up(&mut self) {
        self.types("b");
    }

    /// The files of what it heard, one for each time that its decoder began.
    fn heard_files(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(&self.folder).unwrap().flatten().map(|entry| entry.path());
        files.filter(|path| path.to_string_lossy().ends_with("-dec.wav")).collect()
    }

    /// How many bytes of sound it heard.
    pub fn heard_bytes(&self) -> u64 {
        self.heard_files().iter().filter_map(|path| path.metadata().ok()).map(|meta| meta.len()).sum()
    }

    /// How often it told, after the last answer to a message of its own, that audio comes to it at the codec's full rate. Its decoder's
    /// file did not grow after a hold in the runs seen, also between two of its own; this is what it knows of the audio afterwards.
    pub fn rates_since_answer(&self, bits_per_s: u32) -> usize {
        let log = self.log();
        let since = log.rsplit("SIP/2.0 200 OK").next().unwrap_or_default();
        let received = |told: &str| told.split('/').nth(1)?.split(' ').next()?.parse::<u32>().ok();
        since.split("audio=").skip(1).filter_map(received).filter(|rate| rate * 10 > bits_per_s * 9).count()
    }

    /// What it heard, as its decoder wrote it.
    pub fn heard(&self) -> Vec<i16> {
        let mut files = self.heard_files();
        files.sort();
        let samples = |path: &PathBuf| -> Vec<i16> {
            let mut reader =
                hound::WavReader::open(path).unwrap_or_else(|e| panic!("{} does not play: {e}", path.display()));
            reader.samples().map(Result::unwrap).collect()
        };
        files.iter().flat_map(samples).collect()
    }

    /// How many stretches of 20 ms with sound in it, above −45 dBFS, it heard at 8 kHz.
    pub fn heard_loud(&self) -> usize {
        self.heard().chunks(160).filter(|frame| dbfs(frame) > -45.0).count()
    }

    /// The strongest 200 ms of a tone in what it heard.
    pub fn heard_peak(&self, hz: f64) -> f64 {
        let peaks = self.heard_files().iter().flat_map(|path| peaks_of(path, 0, hz)).collect::<Vec<_>>();
        peaks.into_iter().fold(0.0, f64::max)
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Silence and then the tone.
fn tone(sample_rate: u32) -> Vec<i16> {
    let peak = |i: u32| if i < sample_rate * QUIET_S { 0.0 } else { TONE_PEAK };
    let phase = |i: u32| f64::from(i) * TAU * TONE_HZ / f64::from(sample_rate);
    (0..sample_rate * LENGTH_S).map(|i| (phase(i).sin() * peak(i)) as i16).collect()
}

fn write_speech(path: &Path, Codec(_, sample_rate, channels): Codec, speech: &[i16]) {
    let spec = hound::WavSpec { channels, sample_rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for &sample in speech {
        (0..channels).for_each(|_| writer.write_sample(sample).unwrap());
    }
    writer.finalize().unwrap();
}

/// The peak of a tone in each 200 ms of one channel of a file (Goertzel).
pub fn peaks_of(wav: &Path, channel: usize, hz: f64) -> Vec<f64> {
    let mut reader = hound::WavReader::open(wav).unwrap_or_else(|e| panic!("{} does not play: {e}", wav.display()));
    let (rate, channels) = (reader.spec().sample_rate, usize::from(reader.spec().channels));
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).skip(channel).step_by(channels).collect();
    let coefficient = 2.0 * (TAU * hz / f64::from(rate)).cos();
    let peak = |window: &[i16]| {
        let (mut last, mut before) = (0.0, 0.0);
        for &sample in window {
            (last, before) = (f64::from(sample) + coefficient * last - before, last);
        }
        let power: f64 = last * last + before * before - coefficient * last * before;
        2.0 * power.max(0.0).sqrt() / window.len() as f64
    };
    samples.chunks_exact(rate as usize / 5).map(peak).collect()
}
