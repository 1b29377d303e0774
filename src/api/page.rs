//! The operators' page: the worker, its bots, its calls. Rendered here alone; the script only fetches the page again and
//! puts changed sections in place, so there is one renderer and one place that escapes. Reads no clock.

use super::calls::{direction, masked};
use super::control::{BotRow, EndedCall, EndedPage, Health, LiveCall};
use super::html::{Html, clock, head};
use crate::fleet::FleetView;
use crate::units::Stamp;

/// Everything the page shows.
pub(super) struct Home {
    pub(super) health: Health,
    pub(super) fleet: FleetView,
    pub(super) bots: Vec<BotRow>,
    pub(super) live: Vec<LiveCall>,
    pub(super) ended: EndedPage,
    pub(super) now: Stamp,
}

/// The page.
pub(super) fn render(home: &Home) -> String {
    let mut html = head("Voicefleet", "<script src=\"/ui/page.js\" defer></script>\n");
    html.raw("<header><h1>Voicefleet</h1><p id=\"pulse\" role=\"status\"></p></header>\n<main>\n");
    fleet(&mut html, home);
    live(&mut html, &home.live, home.now);
    ended(&mut html, &home.ended);
    bots(&mut html, &home.bots);
    html.raw("</main>\n<footer><a href=\"/health\">health</a> <a href=\"/health/fleet\">fleet</a> ").raw(
        "<a href=\"/metrics\">metrics</a> <a href=\"/api/v1/calls\">calls as JSON</a></footer>\n</body>\n</html>\n",
    );
    html.finish()
}

fn fleet(html: &mut Html, home: &Home) {
    html.raw("<section id=\"fleet\" aria-label=\"Fleet\">\n");
    for worker in &home.fleet.workers {
        html.raw("<div class=\"card\"><p><b>").text(&worker.id).raw("</b> <span class=\"tag ");
        html.text(worker.state.as_str()).raw("\">").text(worker.state.as_str()).raw("</span></p>");
        html.raw("<p><b class=\"big\">").text(worker.calls).raw("</b> of ").text(worker.max);
        html.raw(" calls, limit: ").text(worker.limit).raw("</p><meter min=\"0\" max=\"").text(worker.max.max(1));
        html.raw("\" value=\"").text(worker.calls).raw("\" aria-label=\"places held\"></meter></div>\n");
    }
    let health = &home.health;
    html.raw("<div class=\"card\"><p><b>").text(home.fleet.available).raw("</b> free for new calls</p><p>up ");
    html.text(clock(health.uptime.as_secs())).raw(", version ").text(health.version).raw("</p><p>");
    html.text(health.process.resident_bytes / (1024 * 1024)).raw(" MiB, ").text(health.process.threads);
    html.raw(" threads, ").text(health.shards).raw(" for media, real-time scheduling ");
    html.raw(if health.fifo { "granted" } else { "not granted" }).raw("</p></div>\n");
    html.raw("</section>\n");
}

fn live(html: &mut Html, calls: &[LiveCall], now: Stamp) {
    html.raw("<section id=\"live\">\n<h2>Live calls <span class=\"count\">").text(calls.len()).raw("</span></h2>\n");
    if calls.is_empty() {
        html.raw("<p class=\"none\">No call is up.</p>\n</section>\n");
        return;
    }
    html.raw(
        "<table><thead><tr><th>Bot<th>Caller<th>State<th>Length<th>Turns<th>Last turn<th>Call</tr></thead><tbody>\n",
    );
    for call in calls {
        let seconds = u64::try_from(now.unix_ms() - call.started_at.unix_ms()).unwrap_or(0) / 1000;
        html.cell("<tr><td data-label=\"Bot\">", &call.bot, "");
        html.raw("<td data-label=\"Caller\">")
            .text(direction(call.outgoing))
            .raw(" <bdi class=\"number\">")
            .text(masked(&call.caller));
        html.raw("</bdi><td data-label=\"State\"><span class=\"tag live\">").text(call.state).raw("</span>");
        html.cell("<td data-label=\"Length\">", clock(seconds), "").cell("<td data-label=\"Turns\">", call.turns, "");
        html.raw("<td data-label=\"Last turn\">");
        match call.last_turn_ms {
            Some(ms) => html.text(ms).raw(" ms"),
            None => html.raw("–"),
        };
        html.raw("<td data-label=\"Call\" class=\"id\"><a href=\"/api/v1/calls/").text(&call.id).raw("\">");
        html.text(&call.id).raw("</a></tr>\n");
    }
    html.raw("</tbody></table>\n</section>\n");
}

fn ended(html: &mut Html, page: &EndedPage) {
    html.raw("<section id=\"ended\">\n<h2>Ended calls</h2>\n");
    if page.calls.is_empty() {
        html.raw("<p class=\"none\">No call has ended yet.</p>\n</section>\n");
        return;
    }
    html.raw(
        "<table><thead><tr><th>Started, UTC<th>Bot<th>Caller<th>Length<th>Turns<th>Ended by<th>Disposition<th>Open</tr>",
    );
    html.raw("</thead><tbody>\n");
    for call in &page.calls {
        ended_row(html, call);
    }
    html.raw("</tbody></table>\n");
    if let Some(last) = page.calls.last().filter(|_| page.more) {
        html.raw("<p><a href=\"/?before=").text(&last.id).raw("\">older calls</a></p>\n");
    }
    html.raw("</section>\n");
}

fn ended_row(html: &mut Html, call: &EndedCall) {
    let started = call.started_at.to_string();
    html.raw("<tr><td data-label=\"Started, UTC\"><time datetime=\"").text(&started).raw("\">");
    html.text(started.get(..19).unwrap_or(&started).replace('T', " ")).raw("</time>");
    html.raw("<td data-label=\"Bot\"><span title=\"version ").text(&call.bot_version).raw("\">").text(&call.bot);
    html.raw("</span><td data-label=\"Caller\">")
        .text(direction(call.outgoing))
        .raw(" <bdi>")
        .text(masked(&call.caller));
    html.cell("</bdi><td data-label=\"Length\">", clock(call.duration_ms / 1000), "");
    html.cell("<td data-label=\"Turns\">", call.turns, "");
    html.raw("<td data-label=\"Ended by\">")
        .text(&call.disconnected_by)
        .raw(" <span class=\"tag\">")
        .text(&call.end_reason);
    html.raw("</span><td data-label=\"Disposition\"><bdi>").text(call.disposition.as_deref().unwrap_or("–"));
    html.raw("</bdi><td data-label=\"Open\"><a href=\"/r/").text(&call.token).raw("\">");
    html.raw(if call.recorded { "recording" } else { "transcript" }).raw("</a> <a href=\"/r/").text(&call.token);
    html.raw("/result\">result</a></tr>\n");
}

fn bots(html: &mut Html, bots: &[BotRow]) {
    html.raw("<section id=\"bots\">\n<h2>Bots</h2>\n");
    if bots.is_empty() {
        html.raw("<p class=\"none\">There is no bot file under config/bots/.</p>\n</section>\n");
        return;
    }
    html.raw("<table><thead><tr><th>Bot<th>Name<th>Language<th>Version<th>File</tr></thead><tbody>\n");
    for bot in bots {
        let version = bot.version.get(..12).unwrap_or(&bot.version);
        html.cell("<tr><td data-label=\"Bot\">", &bot.id, "").cell(
            "<td data-label=\"Name\"><bdi>",
            &bot.name,
            "</bdi>",
        );
        html.cell("<td data-label=\"Language\">", &bot.language, "");
        html.raw("<td data-label=\"Version\" class=\"id\">").text(if version.is_empty() { "none" } else { version });
        html.raw("<td data-label=\"File\">");
        match (bot.faults.is_empty(), version.is_empty()) {
            (true, _) => html.raw("<span class=\"tag ready\">good</span>"),
            (false, true) => html.raw("<span class=\"tag bad\">broken, not serving</span>"),
            (false, false) => html.raw("<span class=\"tag bad\">broken, the version before serves</span>"),
        };
        for fault in &bot.faults {
            html.cell("<p class=\"fault\">", fault, "</p>");
        }
        html.raw("</tr>\n");
    }
    html.raw("</tbody></table>\n</section>\n");
}
