/* view.c - the page as a whole: its style and script, what the dataset is, findings, statistics, then the episodes (view_episode.c). */
#include "data/view.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "data/view_int.h"

enum { PARTS = 32, SENTENCES_SHOWN = 40, VALUES_SHOWN = 6, FINDINGS_SHOWN = 4, LENGTHS_LEAST = 8 };

/* clang-format off */
static const char style[] =
"*{box-sizing:border-box}"
":root{color-scheme:light dark;--bg:#f6f5f2;--card:#fff;--ink:#1d2127;--soft:#68707c;--line:#e4e2dc;--accent:#2463c9;--act:#b4561b;"
"--good:#1d7a46;--bad:#b3261e;--goodbg:#e3f3e9;--badbg:#fbe7e5;--chip:#efede8;--s0:#4c78d0;--s1:#d98032;--s2:#3f9d63;--s3:#b04fa5;"
"--s4:#c9a227;--s5:#2d9aa8;--s6:#8a6fd1;--s7:#c4526a}"
"@media(prefers-color-scheme:dark){:root{--bg:#14161a;--card:#1c1f25;--ink:#e7e9ec;--soft:#98a1ae;--line:#2d323b;--accent:#7fb0ff;"
"--act:#f0a26b;--good:#6fd49a;--bad:#ff8f86;--goodbg:#17301f;--badbg:#3a1e1c;--chip:#282d35}}"
"body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}"
"main{max-width:1120px;margin:0 auto;padding:28px 16px 60px}"
"h1{font-size:28px;line-height:1.2;margin:0;letter-spacing:-.01em;overflow-wrap:anywhere}"
"h2{font-size:18px;margin:34px 0 10px}h3{font-size:17px;line-height:1.35;margin:0;overflow-wrap:anywhere}"
"h3 small{color:var(--soft);font-weight:400;font-variant-numeric:tabular-nums;margin-right:4px}"
"h4{font-size:12px;margin:12px 0 4px;color:var(--soft);font-weight:600;letter-spacing:.02em}"
"p{margin:4px 0}.sub,small,.note{color:var(--soft)}.note{font-size:13px}"
".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:10px;margin:18px 0 0}"
".tile,.ep,.box{background:var(--card);border:1px solid var(--line);border-radius:12px}"
".tile{padding:10px 14px}.tile b{display:block;font-size:21px;line-height:1.3;font-weight:650;font-variant-numeric:tabular-nums}"
".tile span{color:var(--soft);font-size:13px}.tile.good b{color:var(--good)}.tile.bad b{color:var(--bad)}"
".box{padding:12px 16px;overflow-x:auto}"
"table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}"
"th,td{text-align:right;padding:4px 10px;border-bottom:1px solid var(--line);white-space:nowrap}"
"tr:last-child td{border-bottom:0}th{color:var(--soft);font-weight:600;font-size:12px}"
"th:first-child,td:first-child{text-align:left;padding-left:0}td.text,th.text{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:180px}"
".chip{display:inline-block;background:var(--chip);border-radius:99px;padding:0 9px;margin:2px 4px 2px 0;font-size:13px;max-width:100%;"
"overflow-wrap:anywhere}.chip.good{background:var(--goodbg);color:var(--good)}.chip.bad{background:var(--badbg);color:var(--bad)}"
".bars{display:block;width:110px;height:24px;fill:var(--accent);opacity:.75}.wide .bars{width:100%;height:64px}"
".ends{display:flex;justify-content:space-between;font-size:12px;color:var(--soft)}"
".list{list-style:none;margin:0;padding:0;columns:2 340px;column-gap:28px}.list li{break-inside:avoid;display:flex;gap:10px;padding:2px 0}"
".list b{color:var(--soft);font-weight:500;min-width:2.4em;text-align:right;font-variant-numeric:tabular-nums}"
".ep{padding:14px 16px;margin:0 0 16px}.ep header{margin-bottom:10px}.ep header p{color:var(--soft);font-size:13.5px}"
".films{display:flex;flex-wrap:wrap;gap:8px}figure{margin:0;position:relative;flex:1 1 440px;min-width:0}"
"figure img{display:block;width:100%;height:auto;border-radius:8px;background:var(--chip)}"
"figcaption{position:absolute;left:6px;top:6px;background:#000a;color:#fff;font-size:11.5px;line-height:1;padding:4px 7px;border-radius:6px}"
".plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(158px,1fr));gap:6px}"
".plot{background:var(--bg);border-radius:8px;padding:5px 0 0;font-size:11.5px;line-height:1.3;overflow:hidden;position:relative;cursor:crosshair;"
"display:grid;grid-template-columns:minmax(0,1fr) auto;column-gap:6px;white-space:nowrap}"
".plot b{font-weight:500;padding-left:8px;overflow:hidden;text-overflow:ellipsis}"
".plot output{color:var(--soft);padding-right:8px;font-variant-numeric:tabular-nums}"
".plot svg{display:block;grid-column:1/-1;width:100%;height:46px}"
".plot path{fill:none;stroke:var(--accent);stroke-width:1.4;vector-effect:non-scaling-stroke;stroke-linejoin:round}"
".action .plot path{stroke:var(--act)}"
".on .plot::after,.on figure::after{content:'';position:absolute;top:0;bottom:0;left:calc(var(--x)*1%);width:1px;background:var(--ink);opacity:.55}"
".lane{display:block;width:100%;height:14px;border-radius:5px;background:var(--chip)}"
".s0{fill:var(--s0);--c:var(--s0)}.s1{fill:var(--s1);--c:var(--s1)}.s2{fill:var(--s2);--c:var(--s2)}.s3{fill:var(--s3);--c:var(--s3)}"
".s4{fill:var(--s4);--c:var(--s4)}.s5{fill:var(--s5);--c:var(--s5)}.s6{fill:var(--s6);--c:var(--s6)}.s7{fill:var(--s7);--c:var(--s7)}"
".hand{fill:var(--bad)}ol{list-style:none;margin:4px 0 0;padding:0;display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px}"
"ol li::before{content:'';display:inline-block;width:9px;height:9px;border-radius:3px;background:var(--c);margin-right:6px}"
"details{margin-top:10px;font-size:13.5px}summary{cursor:pointer;color:var(--soft)}"
"dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,290px),1fr));gap:1px 28px;margin:8px 0 0}"
"dl div{display:flex;justify-content:space-between;gap:14px}dt{color:var(--soft)}dd{margin:0;text-align:right;overflow-wrap:anywhere}"
".trouble{background:var(--badbg);color:var(--bad);border-radius:8px;padding:8px 12px;overflow-wrap:anywhere;font-size:13.5px}"
"figure .trouble{padding-top:26px}.now{font-variant-numeric:tabular-nums;color:var(--ink)}footer{color:var(--soft);font-size:13px;margin-top:28px}"
"@media(max-width:600px){main{padding:18px 10px 40px}h1{font-size:23px}.ep,.box{padding:12px}"
".plots{grid-template-columns:repeat(auto-fill,minmax(140px,1fr))}.tiles{grid-template-columns:repeat(auto-fit,minmax(104px,1fr));gap:8px}}";

/* A line that follows the finger through pictures and curves of one episode, with the values there. */
static const char script[] =
"document.querySelectorAll('.ep').forEach(ep=>{"
"const plots=[...ep.querySelectorAll('.plot')].map(el=>{const out=el.querySelector('output'),path=el.querySelector('path'),"
"d=path?path.getAttribute('d'):'',at=[];let x=0,y=0;"
"for(const m of d.matchAll(/([Ml])(-?\\d+) ?(-?\\d+)/g)){if(m[1]=='M'){x=+m[2];y=+m[3]}else{x+=+m[2];y+=+m[3]}at.push([x,y])}"
"return{out,text:out.textContent,lo:+el.dataset.lo,hi:+el.dataset.hi,at}});"
"const now=ep.querySelector('.now'),n=+ep.dataset.n,fps=+ep.dataset.fps;"
"const show=(e,el)=>{const r=el.getBoundingClientRect(),f=Math.min(1,Math.max(0,(e.clientX-r.left)/r.width)),t=Math.round(f*(n-1));"
"ep.classList.add('on');ep.style.setProperty('--x',100*f);now.textContent='\\u00b7 frame '+t+', '+(t/fps).toFixed(1)+' s';"
"for(const p of plots){let b=p.at[0];for(const q of p.at)if(q[0]<=240*f)b=q;else break;"
"if(b)p.out.textContent='\\u2248 '+(p.hi-(p.hi-p.lo)*b[1]/100).toPrecision(3)}};"
"ep.querySelectorAll('.over').forEach(el=>{el.addEventListener('pointermove',e=>show(e,el));el.addEventListener('pointerdown',e=>show(e,el));"
"el.addEventListener('pointerleave',()=>{ep.classList.remove('on');now.textContent='';for(const p of plots)p.out.textContent=p.text})})});";
/* clang-format on */

/* --- what it is */
static const char *base_name(const char *dir) {
    size_t n = strlen(dir);
    const char *p = dir + n;
    while (p > dir && p[-1] == '/') {
        p--;
    }
    while (p > dir && p[-1] != '/') {
        p--;
    }
    return *p != 0 ? p : dir;
}

static void head(view_page *p, const fw_dataset *ds) {
    view_add(p, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; base-uri "
                "'none'; form-action 'none'; style-src 'sha256-");
    view_hash(p, style);
    view_add(p, "'; script-src 'sha256-");
    view_hash(p, script);
    view_add(p, "'\"><title>");
    view_text(p, base_name(ds->dir));
    view_add(p, "</title><style>%s</style></head>\n<body><main><h1><bdi>", style);
    view_text(p, base_name(ds->dir));
    view_add(p, "</bdi></h1><p class=\"sub\">");
    view_text(p, ds->robot_type[0] != 0 ? ds->robot_type : "robot not named");
    view_add(p, " \xC2\xB7 %g frames a second \xC2\xB7 LeRobot v%d.%d \xC2\xB7 ", ds->fps, ds->version / 10,
             ds->version % 10);
    for (int c = 0; c < ds->n_cameras; c++) {
        view_add(p, "%s", c > 0 ? ", " : "");
        view_text(p, ds->cameras[c].name);
        view_add(p, " %d\xC3\x97%d", ds->cameras[c].w, ds->cameras[c].h);
    }
    view_add(p, "%s</p>\n", ds->n_cameras > 0 ? "" : "no cameras");
}

/* 13749 -> "13,749"; negative: not known. */
static void with_commas(view_page *p, int64_t n) {
    char digits[32];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)n);
    for (int i = 0; n >= 0 && i < len; i++) {
        view_add(p, "%s%c", i > 0 && (len - i) % 3 == 0 ? "," : "", digits[i]);
    }
    view_add(p, "%s", n < 0 ? "?" : "");
}

static void tile(view_page *p, const char *kind, const char *label, int64_t n) {
    view_add(p, "<div class=\"tile %s\"><b>", kind);
    with_commas(p, n);
    view_add(p, "</b><span>%s</span></div>", label);
}

static void tiles(view_page *p, const fw_dataset *ds, const fw_findings *f) {
    int64_t known = 0, good = 0;
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        int s = fw_dataset_provenance(ds, e).success;
        known += s >= 0;
        good += s == 1;
    }
    view_add(p, "<div class=\"tiles\">");
    tile(p, "", "episodes", ds->n_episodes);
    tile(p, "", "frames", ds->n_frames);
    view_add(p, "<div class=\"tile\"><b>");
    view_duration(p, ds->fps > 0 ? (double)ds->n_frames / ds->fps : 0);
    view_add(p, "</b><span>of experience</span></div>");
    tile(p, "", ds->n_tasks == 1 ? "sentence" : "sentences", ds->n_tasks);
    if (known > 0) {
        view_add(p, "<div class=\"tile\"><b>%.0f %%</b><span>successes</span></div>",
                 100.0 * (double)good / (double)known);
    }
    tile(p, f == NULL || f->n > 0 ? "bad" : "good", f != NULL && f->n == 1 ? "finding" : "findings",
         f != NULL ? f->n : -1);
    view_add(p, "</div>\n");
}

/* --- findings, by kind */
static void findings(view_page *p, const fw_findings *f, const fw_err *failed) {
    view_add(p, "<h2>Check</h2><div class=\"box\">");
    if (failed->code != FW_OK) {
        view_add(p, "<p class=\"trouble\">");
        view_text(p, failed->msg);
        view_add(p, "</p>");
    } else if (f->n == 0) {
        view_add(p,
                 "<span class=\"chip good\">nothing wrong</span> <span class=\"note\">counts, lengths, indices, time "
                 "stamps, values, video frames and statistics agree</span>");
    } else {
        view_add(p, "<table><tr><th>kind</th><th>times</th><th>repairable</th><th class=\"text\">what</th></tr>");
    }
    for (int64_t i = 0; failed->code == FW_OK && i < f->n; i++) {
        int64_t times = 0, before = 0, can = 0, shown = 0;
        for (int64_t k = 0; k < f->n; k++) {
            bool same = strcmp(f->item[k].kind, f->item[i].kind) == 0;
            times += same, before += same && k < i, can += same && f->item[k].repairable;
        }
        if (before > 0) {
            continue;
        }
        view_add(p, "<tr><td>");
        view_text(p, f->item[i].kind);
        view_add(p, "</td><td>%lld</td><td>%s</td><td class=\"text\">", (long long)times, can > 0 ? "yes" : "no");
        for (int64_t k = i; k < f->n && shown < FINDINGS_SHOWN; k++) {
            if (strcmp(f->item[k].kind, f->item[i].kind) == 0) {
                shown++;
                view_add(p, f->item[k].episode >= 0 ? "<div><small>ep %lld</small> " : "<div>",
                         (long long)f->item[k].episode);
                view_text(p, f->item[k].text);
                view_add(p, "</div>");
            }
        }
        view_add(p, "%s</td></tr>", times > shown ? "<small>and more</small>" : "");
    }
    view_add(p, "%s</div>\n", failed->code == FW_OK && f->n > 0 ? "</table>" : "");
}

/* --- counts of texts: sentences, sources, homes */
typedef struct tally {
    const char *text; /* borrowed */
    int64_t n;
} tally;

static int by_text(const void *a, const void *b) {
    return strcmp(((const tally *)a)->text, ((const tally *)b)->text);
}
static int by_count(const void *a, const void *b) {
    int64_t x = ((const tally *)a)->n, y = ((const tally *)b)->n;
    return x != y ? (x < y) - (x > y) : by_text(a, b);
}

/* Sort t [n] into its different texts, most frequent first; returns their number. */
static int64_t count_texts(tally *t, int64_t n) {
    int64_t m = 0;
    qsort(t, (size_t)n, sizeof *t, by_text);
    for (int64_t i = 0; i < n; i++) {
        if (m > 0 && strcmp(t[m - 1].text, t[i].text) == 0) {
            t[m - 1].n += t[i].n;
        } else {
            t[m++] = t[i];
        }
    }
    qsort(t, (size_t)m, sizeof *t, by_count);
    return m;
}

static void sentences(view_page *p, const fw_dataset *ds, tally *t) {
    int64_t n = ds->n_episodes;
    for (int64_t e = 0; e < n; e++) {
        t[e] = (tally){ds->episodes[e].n_tasks > 0 ? ds->episodes[e].tasks[0] : "", 1};
    }
    int64_t m = count_texts(t, n);
    view_add(p, "<h2>Sentences</h2><div class=\"box\"><ul class=\"list\">");
    for (int64_t i = 0; i < m && i < SENTENCES_SHOWN; i++) {
        view_add(p, "<li><b>%lld</b><bdi>", (long long)t[i].n);
        view_text(p, t[i].text);
        view_add(p, "</bdi></li>");
    }
    view_add(p, "</ul>");
    if (m > SENTENCES_SHOWN) {
        view_add(p, "<p class=\"note\">and %lld more</p>", (long long)(m - SENTENCES_SHOWN));
    }
    view_add(p, "</div>\n");
}

/* One row of provenance: the values that a text has, and how often. */
static void origin(view_page *p, const fw_dataset *ds, const char *label, const char *name, tally *t) {
    int64_t n = 0, m;
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        const char *text;
        if (fw_dataset_field_text(ds, e, name, &text) && text[0] != 0) {
            t[n++] = (tally){text, 1};
        }
    }
    m = count_texts(t, n);
    if (m == 0) {
        return;
    }
    view_add(p, "<tr><td>%s</td><td class=\"text\">", label);
    for (int64_t i = 0; i < m && i < VALUES_SHOWN; i++) {
        view_add(p, "<span class=\"chip\"><bdi>");
        view_text(p, t[i].text);
        view_add(p, "</bdi> <small>%lld</small></span>", (long long)t[i].n);
    }
    view_add(p, m > VALUES_SHOWN ? " <small>and %lld more</small></td></tr>" : "</td></tr>",
             (long long)(m - VALUES_SHOWN));
}

static void origins(view_page *p, const fw_dataset *ds, tally *t) {
    static const char *const rows[][2] = {
        {"source", "source"},        {"policy", "policy_id"}, {"home", "home"},
        {"consent", "consent"},      {"task", "task"},        {"suite", "suite"},
        {"control", "control_mode"}, {"ranges", "ranges"},    {"drawn again as", "look"},
        {"physics", "physics"}};
    size_t before = p->n, empty;
    view_add(p, "<h2>Provenance</h2><div class=\"box\"><table>");
    empty = p->n;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        origin(p, ds, rows[i][0], rows[i][1], t);
    }
    if (p->n == empty && !p->nomem) {
        p->n = before; /* nothing is known: no section */
        p->text[p->n] = 0;
        return;
    }
    view_add(p, "</table></div>\n");
}

static void lengths(view_page *p, const fw_dataset *ds) {
    double count[PARTS] = {0}, lo = INFINITY, hi = 0, fps = ds->fps > 0 ? ds->fps : 1;
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        lo = fmin(lo, (double)ds->episodes[e].length / fps);
        hi = fmax(hi, (double)ds->episodes[e].length / fps);
    }
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        double f = hi > lo ? ((double)ds->episodes[e].length / fps - lo) / (hi - lo) : 0.5;
        count[(int)fmin(PARTS - 1, f * PARTS)]++;
    }
    if (ds->n_episodes >= LENGTHS_LEAST) {
        view_add(p, "<h2>Lengths</h2><div class=\"box wide\">");
        view_bars(p, count, PARTS);
        view_add(p, "<div class=\"ends\"><span>%.1f s</span><span>%.1f s</span></div></div>\n", lo, hi);
    }
}

/* --- statistics of state and action */
typedef struct numbers {
    fw_column_stats state, action;
    bool state_known, action_known;
} numbers;

static fw_status stats_rows(view_page *p, fw_dataset *ds, const fw_stats_opts *o, fw_summary *s, const fw_feature *f,
                            fw_column_stats *c, fw_err *err) {
    FW_TRY(fw_dataset_stats(ds, o, s, f->key, c, err));
    for (int64_t d = 0; d < c->n; d++) {
        double count[PARTS];
        view_add(p, "<tr><td>");
        view_add(p, "%s <b>", f == ds->state ? "state" : "action");
        if (d < f->n_names && f->names[d][0] != 0) {
            view_text(p, f->names[d]);
        } else {
            view_add(p, "[%lld]", (long long)d);
        }
        view_add(p, "</b></td><td>");
        if (fw_summary_histogram(s, f->key, d, c->min[d], c->max[d], PARTS, count, NULL) == FW_OK) {
            view_bars(p, count, PARTS);
        }
        view_add(
            p, "</td><td>%.4g</td><td>%.4g</td><td>%.4g</td><td>%.4g</td><td>%.4g</td><td>%.4g</td><td>%.4g</td></tr>",
            c->min[d], c->q01[d], c->q50[d], c->q99[d], c->max[d], c->mean[d], c->std[d]);
    }
    return FW_OK;
}

static fw_status statistics(view_page *p, fw_dataset *ds, const fw_view_opts *o, numbers *out, fw_err *err) {
    const fw_feature *const f[2] = {ds->state, ds->action};
    fw_column_stats *const to[2] = {&out->state, &out->action};
    bool *const known[2] = {&out->state_known, &out->action_known};
    fw_status st = FW_OK;
    view_add(p, "<h2>Statistics</h2><div class=\"box\"><table><tr><th>dimension</th><th></th><th>min</th><th>1 %%</th>"
                "<th>median</th><th>99 %%</th><th>max</th><th>mean</th><th>std</th></tr>");
    for (int i = 0; i < 2 && st == FW_OK; i++) {
        fw_summary *s = NULL;
        if (f[i] == NULL) {
            continue;
        }
        const fw_stats_opts so = {.feature = f[i]->key, .progress = o->progress};
        st = fw_dataset_summarize(ds, &so, &s, err);
        st = st == FW_OK ? stats_rows(p, ds, &so, s, f[i], to[i], err) : st;
        *known[i] = st == FW_OK;
        fw_summary_free(s);
    }
    view_add(p, "</table>");
    if (st != FW_OK && st != FW_NOMEM) { /* what is wrong with the rows */
        view_add(p, "<p class=\"trouble\">");
        view_text(p, err->msg);
        view_add(p, "</p>");
        st = FW_OK;
    }
    view_add(p, "</div>\n");
    return st;
}

/* --- the episodes */
static fw_status episodes(view_page *p, fw_dataset *ds, const fw_view_opts *o, const numbers *all, int64_t *shown,
                          fw_err *err) {
    int64_t n = o->episodes != NULL ? o->n_episodes : ds->n_episodes;
    int64_t m = o->limit > 0 && o->limit < n ? o->limit : n;
    fw_progress progress;
    fw_status st = FW_OK;
    view_add(p, "<h2>Episodes</h2>");
    if (m < ds->n_episodes) {
        view_add(p, "<p class=\"note\">%lld of %lld are shown%s.</p>", (long long)m, (long long)ds->n_episodes,
                 m < n ? ", evenly spread (--episodes and --limit choose others)" : "");
    }
    if (o->progress) {
        fw_progress_start(&progress, "episodes", (uint64_t)m);
    }
    for (int64_t i = 0; i < m && st == FW_OK; i++) {
        int64_t k = m > 1 ? i * (n - 1) / (m - 1) : 0;
        st = view_episode(p, ds, o->episodes != NULL ? o->episodes[k] : k, all->state_known ? &all->state : NULL,
                          all->action_known ? &all->action : NULL, err);
        if (o->progress) {
            fw_progress_update(&progress, (uint64_t)(i + 1), NULL);
        }
    }
    if (o->progress) {
        fw_progress_end(&progress);
    }
    *shown = m;
    return st;
}

static fw_status write_page(view_page *p, fw_dataset *ds, const fw_view_opts *o, const fw_findings *f,
                            const fw_err *check, fw_view_result *r, fw_err *err) {
    numbers all = {.state_known = false};
    tally *t = calloc((size_t)ds->n_episodes + 1, sizeof *t);
    if (t == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: page", ds->dir);
    }
    head(p, ds);
    tiles(p, ds, check->code == FW_OK ? f : NULL);
    findings(p, f, check);
    sentences(p, ds, t);
    origins(p, ds, t);
    lengths(p, ds);
    fw_status st = statistics(p, ds, o, &all, err);
    st = st == FW_OK ? episodes(p, ds, o, &all, &r->shown, err) : st;
    view_add(p, "<footer>Made by flywheel data view.</footer></main><script>%s</script></body></html>\n", script);
    fw_column_stats_clear(&all.state);
    fw_column_stats_clear(&all.action);
    free(t);
    return st == FW_OK && p->nomem ? fw_fail(err, FW_NOMEM, "%s: page", ds->dir) : st;
}

fw_status fw_dataset_view(const char *dir, const char *out, const fw_view_opts *opts, fw_view_result *result,
                          fw_err *err) {
    view_page p = {.text = NULL};
    fw_dataset *ds = NULL;
    fw_findings f = {0};
    fw_err check = {FW_OK, ""};
    fw_view_result r = {0};
    FW_TRY(fw_dataset_open(dir, &ds, err));
    if (fw_dataset_check(dir, &(fw_check_opts){.progress = opts != NULL && opts->progress}, &f, &check) != FW_OK) {
        f.n = 0;
    }
    r.episodes = ds->n_episodes;
    r.findings = f.n;
    fw_status st = write_page(&p, ds, opts, &f, &check, &r, err);
    r.bytes = (int64_t)p.n;
    st = st == FW_OK ? fw_file_write_atomic(out, p.text, p.n, err) : st;
    if (st == FW_OK && result != NULL) {
        *result = r;
    }
    free(p.text);
    fw_findings_clear(&f);
    fw_dataset_close(ds);
    return st;
}
