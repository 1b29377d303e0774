//! Media stand-in until merge.
use crate::units::SampleRate;
#[derive(Debug)]
pub struct EchoGuard;
impl EchoGuard {
    pub fn new(_: SampleRate) -> Self {
        Self
    }
    pub fn played(&mut self, _: &[i16]) {}
    pub fn heard(&mut self, _: &[i16]) {}
    pub fn is_echo(&self) -> bool {
        false
    }
}
#[derive(Debug)]
pub struct VoiceDetector;
impl VoiceDetector {
    pub fn new() -> Self {
        Self
    }
    pub fn push(&mut self, f: &[i16]) -> VoiceFrame {
        let v = f.iter().any(|s| s.abs() > 300);
        VoiceFrame { probability: 0.0, voiced: v }
    }
}
#[derive(Debug, Clone, Copy)]
pub struct VoiceFrame {
    pub probability: f32,
    pub voiced: bool,
}
#[derive(Debug, Default)]
pub struct EdgeConfig;
#[derive(Debug)]
pub struct VoiceEdges {
    on: bool,
    n: u32,
}
#[derive(Debug)]
pub enum Edge {
    Began { ago_ms: u32 },
    Ceased { ago_ms: u32 },
}
impl VoiceEdges {
    pub fn new(_: EdgeConfig) -> Self {
        Self { on: false, n: 0 }
    }
    pub fn push(&mut self, v: VoiceFrame) -> Option<Edge> {
        if v.voiced != self.on {
            self.n += 1
        } else {
            self.n = 0
        };
        if self.n >= if self.on { 5 } else { 3 } {
            self.on = !self.on;
            let n = self.n;
            self.n = 0;
            Some(if self.on { Edge::Began { ago_ms: n * 20 } } else { Edge::Ceased { ago_ms: n * 20 } })
        } else {
            None
        }
    }
}
#[derive(Debug)]
pub struct Resampler;
impl Resampler {
    pub fn new(_: SampleRate, _: SampleRate) -> Result<Self, ()> {
        Ok(Self)
    }
    pub fn process(&mut self, i: &[i16], o: &mut [i16]) -> usize {
        for (k, s) in i.iter().enumerate() {
            o[2 * k] = *s;
            o[2 * k + 1] = *s
        }
        i.len() * 2
    }
}
