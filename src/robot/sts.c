/* sts.c - see sts.h */
#include "robot/sts.h"

#include <string.h>

#include "base/clock.h"

typedef struct reg_row {
    uint8_t address, bytes, sign;
    const char *name;
} reg_row;

static const reg_row regs[FW_STS_N_REG] = {
#define X(name, address, bytes, sign) [FW_STS_##name] = {address, bytes, sign, #name},
    FW_STS_MAP(X)
#undef X
};

uint8_t fw_sts_address(fw_sts_reg r) {
    return regs[r].address;
}
uint8_t fw_sts_bytes(fw_sts_reg r) {
    return regs[r].bytes;
}
const char *fw_sts_name(fw_sts_reg r) {
    return regs[r].name;
}

int32_t fw_sts_decode(fw_sts_reg r, const uint8_t *bytes) {
    const int32_t raw = regs[r].bytes == 1 ? bytes[0] : bytes[0] | bytes[1] << 8;
    const int32_t bit = 1 << regs[r].sign;
    if (regs[r].sign == 0) {
        return raw;
    }
    return (raw & bit) != 0 ? -(raw & (bit - 1)) : raw & (bit - 1);
}

void fw_sts_encode(fw_sts_reg r, int32_t value, uint8_t *bytes) {
    const int32_t bit = 1 << regs[r].sign;
    int32_t raw = value;
    if (regs[r].sign != 0) {
        raw = value < 0 ? bit | (-value & (bit - 1)) : value & (bit - 1);
    }
    bytes[0] = (uint8_t)(raw & 0xFF);
    if (regs[r].bytes == 2) {
        bytes[1] = (uint8_t)(raw >> 8 & 0xFF);
    }
}

/* --- packets */

static uint8_t checksum(const uint8_t *p, size_t n) {
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += p[i];
    }
    return (uint8_t)~sum;
}

size_t fw_sts_packet(uint8_t id, uint8_t instruction, const uint8_t *data, size_t n, uint8_t *out) {
    n = n > FW_STS_DATA_MAX ? FW_STS_DATA_MAX : n;
    out[0] = out[1] = 0xFF;
    out[2] = id;
    out[3] = (uint8_t)(n + 2);
    out[4] = instruction;
    if (n > 0) {
        memcpy(out + 5, data, n);
    }
    out[5 + n] = checksum(out + 2, n + 3);
    return n + 6;
}

void fw_sts_parser_reset(fw_sts_parser *p) {
    p->n = 0;
}

static void drop(fw_sts_parser *p, size_t n) {
    p->n -= n;
    memmove(p->buf, p->buf + n, p->n);
}

uint8_t *fw_sts_parser_room(fw_sts_parser *p, size_t *cap) {
    if (p->n == sizeof p->buf) { /* cannot be while packets are taken out as they come: the oldest byte is noise */
        drop(p, 1);
        p->noise++;
    }
    *cap = sizeof p->buf - p->n;
    return p->buf + p->n;
}

void fw_sts_parser_added(fw_sts_parser *p, size_t n) {
    p->n += n;
}

/* Bytes before the first place where a packet may begin. A third FF cannot be an id: the header begins one later. */
static size_t before_header(const fw_sts_parser *p) {
    size_t i = 0;
    for (; i < p->n; i++) {
        const bool first = p->buf[i] == 0xFF;
        const bool second = i + 1 >= p->n || p->buf[i + 1] == 0xFF;
        const bool id = i + 2 >= p->n || p->buf[i + 2] != 0xFF;
        const bool length = i + 3 >= p->n || (p->buf[i + 3] >= 2 && p->buf[i + 3] <= FW_STS_DATA_MAX + 2);
        if (first && second && id && length) {
            break;
        }
    }
    return i;
}

bool fw_sts_parser_next(fw_sts_parser *p, fw_sts_reply *out) {
    for (;;) {
        const size_t skip = before_header(p);
        p->noise += skip;
        drop(p, skip);
        if (p->n < 6 || p->n < (size_t)p->buf[3] + 4) {
            return false;
        }
        const size_t n = p->buf[3];
        if (checksum(p->buf + 2, n + 1) == p->buf[n + 3]) {
            *out = (fw_sts_reply){.id = p->buf[2], .error = p->buf[4], .n = n - 2};
            memcpy(out->data, p->buf + 5, out->n);
            drop(p, n + 4);
            return true;
        }
        p->checksums++;
        p->noise++;
        drop(p, 1);
    }
}

/* --- transactions */

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static bool is_echo(const fw_sts_reply *r, const uint8_t *sent, size_t n_sent) {
    uint8_t packet[FW_STS_PACKET_MAX];
    return fw_sts_packet(r->id, r->error, r->data, r->n, packet) == n_sent && memcmp(packet, sent, n_sent) == 0;
}

/* Send; forget what came before, and an echo. */
static fw_status send(fw_sts_bus *b, const uint8_t *packet, size_t n, int64_t deadline_ns, fw_err *err) {
    size_t drained;
    FW_TRY(fw_serial_drain(&b->serial, &drained, err));
    b->counts.drained += drained + b->parser.n;
    fw_sts_parser_reset(&b->parser);
    b->counts.requests++;
    return fw_serial_write(&b->serial, packet, n, deadline_ns, err);
}

/* The next good packet before the deadline that is no echo of what was sent: *echo counts down those that are still to come. */
static fw_status receive(fw_sts_bus *b, const uint8_t *sent, size_t n_sent, int *echo, int64_t deadline_ns,
                         fw_sts_reply *out, fw_err *err) {
    for (;;) {
        while (fw_sts_parser_next(&b->parser, out)) {
            if (*echo == 0 || !is_echo(out, sent, n_sent)) {
                out->t_ns = fw_now_ns();
                return FW_OK;
            }
            *echo = 0;
        }
        size_t cap, n;
        uint8_t *room = fw_sts_parser_room(&b->parser, &cap);
        FW_TRY(fw_serial_read(&b->serial, room, cap, &n, deadline_ns, err));
        fw_sts_parser_added(&b->parser, n);
    }
}

static int64_t attempt_ns(const fw_sts_bus *b, size_t out, size_t in) {
    return (int64_t)(out + in) * b->byte_ns + b->reply_ns;
}

int64_t fw_sts_bound_ns(const fw_sts_bus *b, size_t out, size_t in) {
    return (1 + b->retries) * attempt_ns(b, out, in);
}

static void took(fw_sts_bus *b, int64_t since_ns) {
    const int64_t ns = fw_now_ns() - since_ns;
    b->counts.longest_ns = ns > b->counts.longest_ns ? ns : b->counts.longest_ns;
}

/* After a reply may have come twice: wait until the line is silent, or the second would be taken for the answer to the next question. */
static fw_status settle(fw_sts_bus *b, fw_err *err) {
    uint8_t waste[256];
    fw_status st = FW_OK;
    for (int i = 0; i < 50 && st == FW_OK; i++) {
        size_t n;
        st = fw_serial_read(&b->serial, waste, sizeof waste, &n, fw_now_ns() + b->reply_ns, err);
        b->counts.drained += n;
    }
    return st == FW_TIMEOUT ? FW_OK : st;
}

/* A request to one servo and its reply with `want` bytes. */
static fw_status ask(fw_sts_bus *b, uint8_t id, uint8_t instruction, const uint8_t *data, size_t n, size_t want,
                     fw_sts_reply *out, fw_err *err) {
    uint8_t packet[FW_STS_PACKET_MAX];
    const size_t bytes = fw_sts_packet(id, instruction, data, n, packet);
    const fw_sts_parser before = {.noise = b->parser.noise, .checksums = b->parser.checksums};
    const uint64_t strangers = b->counts.strangers;
    const int64_t began = fw_now_ns();
    fw_status st = FW_OK;
    for (int i = 0; i <= b->retries; i++) {
        const int64_t deadline = fw_now_ns() + attempt_ns(b, bytes, want + 6);
        int echo = b->echo;
        b->counts.retries += i > 0;
        st = send(b, packet, bytes, deadline, err);
        while (st == FW_OK) {
            st = receive(b, packet, bytes, &echo, deadline, out, err);
            if (st == FW_OK && out->id == id && out->n == want) {
                b->counts.replies++;
                took(b, began);
                return i > 0 ? settle(b, err) : FW_OK;
            }
            b->counts.strangers += st == FW_OK;
        }
        if (st != FW_TIMEOUT) {
            break;
        }
    }
    took(b, began);
    b->counts.lost++;
    if (st != FW_TIMEOUT) {
        return st;
    }
    FW_TRY(settle(b, err));
    return fw_fail(err, FW_TIMEOUT,
                   "%s: id %u does not answer (%d attempts; came instead: %llu wrong checksums, %llu other packets, "
                   "%llu bytes of noise)",
                   b->serial.port, id, 1 + b->retries, (unsigned long long)(b->parser.checksums - before.checksums),
                   (unsigned long long)(b->counts.strangers - strangers),
                   (unsigned long long)(b->parser.noise - before.noise));
}

fw_status fw_sts_ping(fw_sts_bus *b, uint8_t id, uint8_t *error, fw_err *err) {
    fw_sts_reply r;
    FW_TRY(ask(b, id, FW_STS_PING, NULL, 0, 0, &r, err));
    *error = r.error;
    return FW_OK;
}

fw_status fw_sts_read(fw_sts_bus *b, uint8_t id, fw_sts_reg reg, int32_t *value, uint8_t *error, fw_err *err) {
    const uint8_t what[2] = {regs[reg].address, regs[reg].bytes};
    fw_sts_reply r;
    FW_TRY(ask(b, id, FW_STS_READ, what, 2, what[1], &r, err));
    *value = fw_sts_decode(reg, r.data);
    *error = r.error;
    return FW_OK;
}

fw_status fw_sts_write(fw_sts_bus *b, uint8_t id, fw_sts_reg reg, int32_t value, uint8_t *error, fw_err *err) {
    uint8_t what[3] = {regs[reg].address};
    fw_sts_reply r;
    fw_sts_encode(reg, value, what + 1);
    FW_TRY(ask(b, id, FW_STS_WRITE, what, 1 + (size_t)regs[reg].bytes, 0, &r, err));
    *error = r.error;
    return FW_OK;
}

/* Who is missing in *got: their ids to list, their places to at. */
static int missing(const uint8_t *ids, int n, uint32_t got, uint8_t *list) {
    int m = 0;
    for (int i = 0; i < n; i++) {
        if ((got >> i & 1) == 0) {
            list[m++] = ids[i];
        }
    }
    return m;
}

static int place_of(const uint8_t *ids, int n, uint8_t id) {
    for (int i = 0; i < n; i++) {
        if (ids[i] == id) {
            return i;
        }
    }
    return -1;
}

/* Ask those that are missing once, and take replies until all are there; FW_TIMEOUT when the last asked has answered and others have
 * not, or the line is silent. */
static fw_status sync_attempt(fw_sts_bus *b, const uint8_t *ids, int n, uint8_t address, uint8_t bytes,
                              int64_t deadline_ns, fw_sts_reply *replies, uint32_t *got, fw_err *err) {
    uint8_t what[2 + FW_STS_SYNC_MAX] = {address, bytes}, packet[FW_STS_PACKET_MAX];
    const int m = missing(ids, n, *got, what + 2);
    const size_t out = fw_sts_packet(FW_STS_BROADCAST, FW_STS_SYNC_READ, what, 2 + (size_t)m, packet);
    const uint32_t all = (1U << n) - 1;
    const uint8_t last = what[1 + m];
    int echo = b->echo;
    const int64_t sent_ns = fw_now_ns(), attempt = attempt_ns(b, out, (size_t)m * (bytes + 6U));
    int64_t silent_ns = sent_ns + attempt;
    FW_TRY(send(b, packet, out, earlier(deadline_ns, silent_ns), err));
    while (*got != all) {
        fw_sts_reply r;
        FW_TRY(receive(b, packet, out, &echo, earlier(deadline_ns, silent_ns), &r, err));
        const int i = place_of(ids, n, r.id);
        if (i < 0 || r.n != bytes) {
            b->counts.strangers++;
            continue;
        }
        replies[i] = r;
        *got |= 1U << i;
        b->counts.replies++;
        if (r.id ==
            last) { /* nobody speaks any more, unless this was a late one: not before the bytes of all can have passed */
            const int64_t passed_ns = sent_ns + attempt - b->reply_ns;
            silent_ns = earlier(silent_ns, r.t_ns > passed_ns ? r.t_ns : passed_ns);
        }
    }
    return FW_OK;
}

fw_status fw_sts_sync_read(fw_sts_bus *b, const uint8_t *ids, int n, uint8_t address, uint8_t bytes,
                           int64_t deadline_ns, fw_sts_reply *replies, uint32_t *got, fw_err *err) {
    const int64_t began = fw_now_ns();
    uint8_t silent[FW_STS_SYNC_MAX];
    fw_status st = FW_OK;
    *got = 0;
    if (n < 1 || n > FW_STS_SYNC_MAX || bytes > FW_STS_DATA_MAX) {
        return fw_fail(err, FW_INVALID, "%s: sync read of %d servos, %u bytes", b->serial.port, n, bytes);
    }
    for (int i = 0; i <= b->retries; i++) {
        b->counts.retries += i > 0;
        st = sync_attempt(b, ids, n, address, bytes, deadline_ns, replies, got, err);
        if (st != FW_TIMEOUT || fw_now_ns() >= deadline_ns) {
            break;
        }
    }
    took(b, began);
    b->counts.lost += st == FW_OK ? 0 : (uint64_t)missing(ids, n, *got, silent);
    if (st == FW_TIMEOUT && *got != 0) {
        return FW_OK;
    }
    return st == FW_TIMEOUT ? fw_fail(err, st, "%s: none of %d servos answers", b->serial.port, n) : st;
}

fw_status fw_sts_sync_write(fw_sts_bus *b, const uint8_t *ids, int n, fw_sts_reg reg, const int32_t *values,
                            int64_t deadline_ns, fw_err *err) {
    uint8_t what[2 + 3 * FW_STS_SYNC_MAX] = {regs[reg].address, regs[reg].bytes}, packet[FW_STS_PACKET_MAX];
    size_t at = 2;
    if (n < 1 || n > FW_STS_SYNC_MAX) {
        return fw_fail(err, FW_INVALID, "%s: sync write to %d servos", b->serial.port, n);
    }
    for (int i = 0; i < n; i++) {
        what[at] = ids[i];
        fw_sts_encode(reg, values[i], what + at + 1);
        at += 1 + (size_t)regs[reg].bytes;
    }
    const size_t bytes = fw_sts_packet(FW_STS_BROADCAST, FW_STS_SYNC_WRITE, what, at, packet);
    return send(b, packet, bytes, earlier(deadline_ns, fw_now_ns() + attempt_ns(b, bytes, 0)), err);
}

/* Whether the adapter gives requests back: a read of a servo that cannot be, of which nobody else says these bytes. */
static fw_status find_echo(fw_sts_bus *b, fw_err *err) {
    const uint8_t what[2] = {regs[FW_STS_ID].address, 1};
    uint8_t packet[FW_STS_PACKET_MAX];
    const size_t n = fw_sts_packet(0xFD, FW_STS_READ, what, 2, packet);
    for (int i = 0; i <= b->retries && !b->echo; i++) {
        const int64_t deadline = fw_now_ns() + attempt_ns(b, n, n);
        int echo = 0;
        fw_sts_reply r;
        fw_status st = send(b, packet, n, deadline, err);
        while (st == FW_OK && !b->echo) {
            st = receive(b, packet, n, &echo, deadline, &r, err);
            b->echo = st == FW_OK && is_echo(&r, packet, n);
        }
        if (st != FW_OK && st != FW_TIMEOUT) {
            return st;
        }
    }
    return FW_OK;
}

fw_status fw_sts_open(fw_sts_bus *b, const char *port, uint32_t baud, int retries, uint32_t reply_us, fw_err *err) {
    *b = (fw_sts_bus){.serial.fd = -1, .retries = retries, .reply_ns = (int64_t)reply_us * 1000};
    if (retries < 0 || retries > 10 || reply_us < 100 || reply_us > 1000000 || baud < 1200) {
        return fw_fail(err, FW_INVALID, "%s: %d retries (wanted 0..10), %u us (100..1000000), %u baud (1200..)", port,
                       retries, reply_us, baud);
    }
    b->byte_ns = 10000000000 / baud;
    FW_TRY(fw_serial_open(&b->serial, port, baud, err));
    const fw_status st = find_echo(b, err);
    if (st != FW_OK) {
        fw_sts_close(b);
    }
    b->counts = (fw_sts_counts){0};
    return st;
}

void fw_sts_close(fw_sts_bus *b) {
    fw_serial_close(&b->serial);
}
