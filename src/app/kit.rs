//! What one call needs of ears, mind and voice: the providers that its bot names, with its rendered prompts. Never opens a
//! session itself.

use std::sync::{Arc, Mutex, PoisonError};

use crate::bot::io::BotFolder;
use crate::bot::script::Script;
use crate::bot::{Bot, JudgeChoice, LlmChoice, SttChoice, TtsChoice};
use crate::provider::local::LocalSpeech;
use crate::provider::script::ScriptLlm;
use crate::provider::standin::{self, StandinJudge, StandinLlm, StandinStt, StandinTts};
use crate::provider::{DialogueContext, Llm, ProviderError, Stt, Tts, TurnJudge, Voice};
use crate::template::{Template, Values};
use crate::turn::SentenceCutter;
use crate::units::SampleRate;

/// Providers and prompts of one call.
pub struct Kit {
    /// Recognition.
    pub stt: Arc<dyn Stt>,
    /// The end-of-turn model, where the bot has one.
    pub judge: Option<Arc<dyn TurnJudge>>,
    /// Dialogue.
    pub llm: Arc<dyn Llm>,
    /// Synthesis.
    pub tts: Arc<dyn Tts>,
    /// The bot's voice.
    pub voice: Voice,
    /// What the engine knows before the first word.
    pub dialogue: DialogueContext,
}

/// All providers of the process.
#[derive(Debug)]
pub struct Speech {
    local: Option<Arc<LocalSpeech>>,
    standin: Arc<standin::Config>,
    /// Compiled scripts of the bot versions in use: a handful, the oldest is forgotten.
    scripts: Mutex<Vec<(String, Arc<ScriptLlm>)>>,
}

/// Scripts kept compiled.
const MOST_SCRIPTS: usize = 64;

impl Speech {
    /// Providers with the local set where it is loaded.
    #[must_use]
    pub fn new(local: Option<Arc<LocalSpeech>>, standin: standin::Config) -> Self {
        Self { local, standin: Arc::new(standin), scripts: Mutex::new(Vec::new()) }
    }

    fn need_local(&self) -> Result<&Arc<LocalSpeech>, ProviderError> {
        self.local.as_ref().ok_or_else(|| {
            ProviderError::Unavailable(
                "the local speech set is not loaded; run `voicefleet models fetch` and start again".to_owned(),
            )
        })
    }

    /// Has the fixed lines of every bot with the local voice rendered in the background, so that saying one costs nothing.
    pub fn render_ahead(&self, bots: &BotFolder) {
        let Some(local) = &self.local else { return };
        for bot in bots.list().iter().filter_map(|b| bots.get(b.id.as_str())) {
            let lines = bot.script.as_ref().map(fixed_sentences).unwrap_or_default();
            if bot.providers.tts == TtsChoice::Local
                && let Err(error) = local.warm(lines, &voice(&bot), SampleRate::NARROW)
            {
                tracing::warn!(bot = %bot.id, %error, "fixed lines are rendered when they are first said");
            }
        }
    }

    /// The kit of a call with `bot`.
    ///
    /// # Errors
    /// Where the bot names a provider that is not there.
    pub fn kit(&self, bot: &Bot, values: Values) -> Result<Kit, ProviderError> {
        let standin = || Arc::clone(&self.standin);
        let stt: Arc<dyn Stt> = match bot.providers.stt {
            SttChoice::Local => self.need_local()?.stt(),
            SttChoice::Standin => Arc::new(StandinStt::new(standin())),
        };
        let judge: Option<Arc<dyn TurnJudge>> = match bot.providers.judge {
            JudgeChoice::Local => Some(self.need_local()?.judge()),
            JudgeChoice::Standin => Some(Arc::new(StandinJudge::new(standin()))),
            JudgeChoice::None => None,
        };
        let tts: Arc<dyn Tts> = match bot.providers.tts {
            TtsChoice::Local => self.need_local()?.tts(),
            TtsChoice::Standin => Arc::new(StandinTts::new(standin())),
        };
        let llm: Arc<dyn Llm> = match bot.providers.llm {
            LlmChoice::Script => self.script(bot)?,
            LlmChoice::Standin => Arc::new(StandinLlm::new(standin())),
        };
        let system = bot.system_prompt.render(&values).text;
        Ok(Kit {
            stt,
            judge,
            llm,
            tts,
            voice: voice(bot),
            dialogue: DialogueContext { system, values: Arc::new(values) },
        })
    }

    fn script(&self, bot: &Bot) -> Result<Arc<ScriptLlm>, ProviderError> {
        let key = format!("{}@{}", bot.id, bot.version);
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, script)) = scripts.iter().find(|(k, _)| *k == key) {
            return Ok(Arc::clone(script));
        }
        let Some(script) = &bot.script else {
            return Err(ProviderError::Unavailable(format!(
                "bot {} has llm = \"script\" and no [script]; `voicefleet check` shows where",
                bot.id
            )));
        };
        let opening = (!bot.opening_message.is_blank()).then(|| bot.opening_message.source().to_owned());
        let disclosure = bot.disclosure.as_ref().map(|d| d.source().to_owned());
        let engine = Arc::new(ScriptLlm::new(Arc::new(script.clone()), opening, disclosure));
        if scripts.len() >= MOST_SCRIPTS {
            scripts.remove(0);
        }
        scripts.push((key, Arc::clone(&engine)));
        Ok(engine)
    }
}

/// The sentences of a script that are the same in every call, cut as the turn loop cuts them.
fn fixed_sentences(script: &Script) -> Vec<String> {
    let steps = script.step.iter().flat_map(|s| &s.say);
    let ends = script.end.iter().flat_map(|e| &e.say);
    let answers = script.answer.iter().flat_map(|a| &a.say);
    let others = [&script.idle, &script.idle_goodbye, &script.warning, &script.unclear, &script.farewell];
    let mut sentences = Vec::new();
    for line in steps.chain(ends).chain(answers).chain(others.into_iter().flatten()) {
        if Template::parse(line).tokens().next().is_none() {
            let mut cutter = SentenceCutter::default();
            cutter.push(line, &mut sentences);
            cutter.finish(&mut sentences);
        }
    }
    sentences
}

/// What a bot's file says of its voice, as synthesis wants it.
#[must_use]
pub fn voice(bot: &Bot) -> Voice {
    Voice {
        name: bot.voice.name.clone(),
        speed: bot.voice.speed,
        language: bot.language.clone(),
        pronounce: bot.voice.pronounce.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        currency: bot.voice.currency.clone(),
    }
}
