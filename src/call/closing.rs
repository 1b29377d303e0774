//! The one way to a call's ending: the first reason wins, the far end is told where it is still there, the line says what was
//! heard last, and nothing follows. Never ends a call twice.

use super::{Call, EndReason, Ending, LegLoss, LegOrder, Order, Phase};
use crate::call::line::LineOrder;
use crate::turn::{ToolCall, TurnOrder};
use crate::units::Moment;

/// The far end has this long to answer our hang-up.
const HANG_UP_LIMIT_MS: u64 = 2_000;
/// The line has this long to say what was heard of the last answer.
const SETTLE_LIMIT_MS: u64 = 200;
/// Close code of a handshake that took too long.
const CLOSE_HANDSHAKE_TIMEOUT: u16 = 4408;
/// Close code of a call that is over.
const CLOSE_NORMAL: u16 = 1000;

impl Call {
    /// The far end is gone: the reason counts unless there is one already.
    pub(super) fn gone(&mut self, now: Moment, reason: EndReason) {
        match self.phase {
            Phase::Settling { .. } | Phase::Over => {}
            Phase::Leaving { .. } => self.settle(now),
            Phase::Setup { .. } | Phase::Ringing { .. } | Phase::Live => {
                // It rang until the dialler closed without a word: nobody answered. A dialler that says who hung up is believed.
                let rang = self.outgoing && matches!(self.phase, Phase::Ringing { .. });
                let unanswered = rang && reason == EndReason::LegClosed;
                self.end(now, if unanswered { EndReason::NoAnswer } else { reason }, false);
            }
        }
    }

    pub(super) const fn unanswered(&self, rings: bool) -> EndReason {
        if rings { EndReason::NoAnswer } else { EndReason::HandshakeTimeout }
    }

    pub(super) const fn loss_reason(&self, loss: LegLoss) -> EndReason {
        match loss {
            LegLoss::Closed => EndReason::LegClosed,
            LegLoss::Silent => EndReason::LegSilent,
            LegLoss::Stuck => EndReason::LegStuck,
            LegLoss::Protocol => EndReason::ProtocolError,
            LegLoss::Internal => EndReason::Internal,
            LegLoss::Unanswered if self.outgoing && matches!(self.phase, Phase::Ringing { .. }) => EndReason::NoAnswer,
            LegLoss::Unanswered => EndReason::HandshakeTimeout,
        }
    }

    /// The one way to an ending: the first reason wins. `say` tells the far end and waits for its answer.
    pub(super) fn end(&mut self, now: Moment, reason: EndReason, say: bool) {
        if self.ending.is_some() {
            return;
        }
        let reason = self.true_reason(reason);
        self.ending = Some(Ending { reason, at: now });
        self.turn.close(now);
        while let Some(order) = self.turn.poll() {
            match order {
                TurnOrder::Cut { utterance } => {
                    let order = self.cut(now, utterance);
                    self.orders.push_back(order);
                }
                TurnOrder::CancelAnswer { utterance } => self.orders.push_back(Order::CancelAnswer { utterance }),
                TurnOrder::EndTurn { turn } => self.orders.push_back(Order::EndTurn { turn }),
                TurnOrder::Act(ToolCall::OptOut) => self.opt_out(),
                TurnOrder::BeginTurn { .. }
                | TurnOrder::Take { .. }
                | TurnOrder::Judge { .. }
                | TurnOrder::Ask(_)
                | TurnOrder::Say { .. }
                | TurnOrder::Pause
                | TurnOrder::Resume
                | TurnOrder::Act(_)
                | TurnOrder::GiveUp(_) => {}
            }
        }
        if say {
            self.orders.push_back(Order::Leg(LegOrder::HangUp { message: reason.code().to_owned() }));
            self.phase = Phase::Leaving { until: now.plus_ms(HANG_UP_LIMIT_MS) };
        } else {
            self.settle(now);
        }
    }

    pub(super) fn settle(&mut self, now: Moment) {
        if self.turn.is_settled() {
            self.finish(now);
        } else {
            self.phase = Phase::Settling { until: now.plus_ms(SETTLE_LIMIT_MS) };
        }
    }

    pub(super) fn finish(&mut self, now: Moment) {
        self.turn.settle_unsaid(now);
        self.phase = Phase::Over;
        let (code, reason) =
            if self.late { (CLOSE_HANDSHAKE_TIMEOUT, "handshake timeout") } else { (CLOSE_NORMAL, "call over") };
        self.orders.push_back(Order::Leg(LegOrder::Close { code, reason }));
        self.orders.push_back(Order::Line(LineOrder::Close));
        self.orders.push_back(Order::Finish);
    }
}
