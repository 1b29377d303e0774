//! What leaves a session: bot audio as the shard meant it, and the driver's orders. Never sends audio after a hang-up or a
//! transfer, nor audio that a barge-in made void.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::call::line::Ended;
use crate::call::{LegFact, LegLoss, LegOrder};
use crate::rt;
use crate::shard::{OutFrame, OutItem};
use crate::transport::ws::audio;
use crate::transport::ws::config::ms;
use crate::transport::ws::host::Host;
use crate::units::Moment;
use crate::wire::ws::{Egress, Written};

use super::{Ending, Session, Stage, Step};

/// Memory that is used again for every frame.
#[derive(Default)]
pub(super) struct Scratch {
    frames: Vec<OutFrame>,
    payload: Vec<u8>,
    text_len: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send, H: Host> Session<S, H> {
    /// Takes what the shard has put out and sends it, where the socket is free.
    pub(super) fn send_audio(&mut self, now: Moment) -> Step {
        if self.socket.waiting_since.is_some() {
            return Ok(());
        }
        let (mut cleared, mut clear) = (0, false);
        let mut frames = std::mem::take(&mut self.out.frames);
        frames.clear();
        if let Some(port) = self.leg.as_mut().and_then(|leg| leg.port.as_mut()) {
            while let Some(item) = port.pop() {
                match item {
                    OutItem::Frame(frame) => frames.push(frame),
                    OutItem::Clear => {
                        cleared += frames.len() as u64;
                        frames.clear();
                        clear = true;
                    }
                }
            }
        }
        if self.muted {
            cleared += frames.len() as u64;
            frames.clear();
            clear = false;
        }
        self.report.counters.cleared += cleared;
        let mut step = if clear { self.write(&Egress::Clear, now) } else { Ok(()) };
        for frame in &frames {
            if step.is_ok() {
                step = self.send_frame(frame, now);
            }
        }
        frames.clear();
        self.out.frames = frames;
        step
    }

    fn send_frame(&mut self, frame: &OutFrame, now: Moment) -> Step {
        let error_us = u64::try_from(now.since(frame.due).as_micros()).unwrap_or(u64::MAX);
        if error_us > self.config.late_ms * 1000 {
            self.report.counters.late_dropped += 1;
            // What ends with it has ended all the same.
            return self.send_marks(&frame.ended, now);
        }
        let samples = frame.samples.get(..usize::from(frame.len)).unwrap_or(&frame.samples);
        let mut payload = std::mem::take(&mut self.out.payload);
        payload.clear();
        audio::encode(self.format.encoding, samples, &mut payload);
        self.report.pacing.record(error_us);
        self.report.counters.audio_out += 1;
        self.metrics.paced(error_us);
        let step = self.write(&Egress::Audio { payload: &payload, at: rt::stamp() }, now);
        self.out.payload = payload;
        step?;
        self.send_marks(&frame.ended, now)
    }

    /// Names the pieces of speech that end here, to those who asked for marks.
    fn send_marks(&mut self, ended: &Ended, now: Moment) -> Step {
        if !self.dialect.caps().mark {
            return Ok(());
        }
        for mark in ended.iter().flatten() {
            self.marks.sent(*mark);
            self.flood.ask();
            self.write(&Egress::Mark { name: &mark.to_string() }, now)?;
        }
        Ok(())
    }

    /// Writes one order by the dialect and queues the frame.
    pub(super) fn write(&mut self, order: &Egress<'_>, now: Moment) -> Step {
        let mut text = String::with_capacity(self.out.text_len);
        let message = match self.dialect.write(order, &mut text) {
            Written::Nothing => return Ok(()),
            Written::Text => {
                self.out.text_len = text.len() + 16;
                Message::Text(text.into())
            }
            Written::Binary => match order {
                Egress::Audio { payload, .. } => Message::Binary(Bytes::copy_from_slice(payload)),
                _ => return Ok(()),
            },
        };
        self.report.counters.frames_out += 1;
        Ok(self.socket.send(message, now)?)
    }

    /// Obeys the driver.
    pub(super) fn order(&mut self, order: LegOrder, now: Moment) -> Step {
        match order {
            LegOrder::Ready { call_id } => self.write(&Egress::Ready { call_id: &call_id }, now),
            LegOrder::HangUp { message } => {
                if self.stage == Stage::Leaving {
                    return Ok(());
                }
                self.fall_silent(now)?;
                self.write(&Egress::HangUp { message: &message }, now)?;
                self.stage = Stage::Leaving;
                self.stage_until = now + ms(self.config.hang_up_ms);
                Ok(())
            }
            LegOrder::Transfer { to } => {
                self.fall_silent(now)?;
                self.write(&Egress::Transfer { to: &to }, now)
            }
            // The dialect has no word for keys that we press.
            LegOrder::Keys { .. } => Ok(()),
            LegOrder::Close { code, reason } => {
                Err(Ending { fact: LegFact::Lost(LegLoss::Closed), close: Some((code, reason.to_owned())) })
            }
        }
    }

    /// Drops what was not sent, tells the far end to drop what it has not played, and says nothing more.
    fn fall_silent(&mut self, now: Moment) -> Step {
        self.muted = true;
        self.send_audio(now)?;
        self.write(&Egress::Clear, now)
    }
}
