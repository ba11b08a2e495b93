/*
 * summary_file.c - summaries on disk.
 *
 * LAYOUT, little endian: "FWSUMRY1"; u64 features; for each: u64 key bytes, key, u64 image, u64 n, u64 count; then for images
 * u64 [3][256]; for vectors n times: u64 count, u64 ones, f64 min, f64 max, i64 sum[68], i64 square[68], u64 shift, u64 bins,
 * and for each bin two varints: prefix minus the one before, times. Then 64 hexadecimal digits: the SHA-256 of all before.
 * The same summary always gives the same bytes. What is read is checked for everything that the rest of the module relies
 * on: increasing prefixes that fit the shift, counts that add up, carried limbs.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "data/summary_int.h"

static const char magic[8] = {'F', 'W', 'S', 'U', 'M', 'R', 'Y', '1'};
#define MAX_COUNT (1ll << 48)
enum { HEX = 64, MAX_FEATURES = 4096, MAX_DIMS = 1 << 20 };

/* --- writing --- */

static void put_u64(FILE *f, uint64_t v) {
    uint8_t b[8];
    for (int i = 0; i < 8; i++) {
        b[i] = (uint8_t)(v >> (8 * i));
    }
    fwrite(b, 1, 8, f);
}

static void put_f64(FILE *f, double v) {
    uint64_t b;
    memcpy(&b, &v, sizeof b);
    put_u64(f, b);
}

static void put_varint(FILE *f, uint64_t v) {
    for (; v >= 0x80; v >>= 7) {
        putc((int)(v & 0x7F) | 0x80, f);
    }
    putc((int)v, f);
}

static bool put_dim(FILE *f, dim *d) {
    if (!dim_flush(d)) {
        return false;
    }
    exact_carry(&d->sum);
    exact_carry(&d->square);
    put_u64(f, (uint64_t)d->count);
    put_u64(f, d->ones);
    put_f64(f, d->min);
    put_f64(f, d->max);
    for (int i = 0; i < 2 * EXACT_LIMBS; i++) {
        put_u64(f, (uint64_t)(i < EXACT_LIMBS ? d->sum.limb[i] : d->square.limb[i - EXACT_LIMBS]));
    }
    put_u64(f, (uint64_t)d->shift);
    put_u64(f, (uint64_t)d->n);
    for (int64_t i = 0; i < d->n; i++) {
        put_varint(f, d->key[i] - (i > 0 ? d->key[i - 1] : 0));
        put_varint(f, d->times[i]);
    }
    return true;
}

static bool put_summary(FILE *f, fw_summary *s) {
    bool ok = true;
    fwrite(magic, 1, sizeof magic, f);
    put_u64(f, (uint64_t)s->n);
    for (int i = 0; i < s->n; i++) {
        summary_feature *x = &s->item[i];
        put_u64(f, strlen(x->key));
        fwrite(x->key, 1, strlen(x->key), f);
        put_u64(f, x->image);
        put_u64(f, (uint64_t)x->n);
        put_u64(f, (uint64_t)x->count);
        for (int k = 0; x->image && k < 3 * 256; k++) {
            put_u64(f, x->pixels[k / 256][k % 256]);
        }
        for (int64_t d = 0; !x->image && d < x->n; d++) {
            ok = put_dim(f, &x->dims[d]) && ok;
        }
    }
    return ok;
}

fw_status fw_summary_save(fw_summary *s, const char *path, fw_err *err) {
    char *text = NULL, hex[HEX + 1];
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    bool ok = f != NULL && put_summary(f, s);
    if (f != NULL) {
        ok = fflush(f) == 0 && ok;
        if (ok) {
            fw_sha256_hex(text, n, hex);
            fwrite(hex, 1, HEX, f);
        }
        ok = fclose(f) == 0 && ok;
    }
    fw_status st = ok ? fw_file_write_atomic(path, text, n, err) : fw_fail(err, FW_NOMEM, "%s: out of memory", path);
    free(text);
    return st;
}

/* --- reading --- */

typedef struct reader {
    const uint8_t *at, *end;
    bool bad; /* asked for more than there is */
} reader;

static uint64_t get_u64(reader *r) {
    uint64_t v = 0;
    if (r->end - r->at < 8) {
        r->bad = true;
        return 0;
    }
    for (int i = 0; i < 8; i++) {
        v |= (uint64_t)*r->at++ << (8 * i);
    }
    return v;
}

static double get_f64(reader *r) {
    uint64_t b = get_u64(r);
    double v;
    memcpy(&v, &b, sizeof v);
    return v;
}

static uint64_t get_varint(reader *r) {
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (r->at == r->end) {
            break;
        }
        uint8_t b = *r->at++;
        v |= (uint64_t)(b & 0x7F) << shift;
        if (b < 0x80) {
            return v;
        }
    }
    r->bad = true;
    return 0;
}

static bool get_sum(reader *r, exact_sum *s) {
    for (int i = 0; i < EXACT_LIMBS; i++) {
        s->limb[i] = (int64_t)get_u64(r);
        if (i + 1 < EXACT_LIMBS && (s->limb[i] < 0 || s->limb[i] > 0xFFFFFFFFll)) {
            return false;
        }
    }
    return s->limb[EXACT_LIMBS - 1] > -(1ll << 40) && s->limb[EXACT_LIMBS - 1] < 1ll << 40;
}

/* NULL: fine; otherwise what is wrong with it. */
static const char *get_bins(reader *r, dim *d) {
    uint64_t key = 0, times = 0;
    d->key = malloc((size_t)(d->n + 1) * sizeof *d->key);
    d->times = malloc((size_t)(d->n + 1) * sizeof *d->times);
    if (d->key == NULL || d->times == NULL) {
        return "out of memory";
    }
    for (int64_t i = 0; i < d->n; i++) {
        uint64_t more = get_varint(r), t = get_varint(r);
        if ((i > 0 && more == 0) || __builtin_add_overflow(key, more, &key) || key > UINT64_MAX >> d->shift || t == 0 ||
            __builtin_add_overflow(times, t, &times)) {
            return "bins that do not increase";
        }
        d->key[i] = key;
        d->times[i] = t;
    }
    if (d->n > 0 && (d->key[0] != dim_key(d->min) >> d->shift || key != dim_key(d->max) >> d->shift)) {
        return "bins that do not end at the smallest and largest value";
    }
    return times == (uint64_t)d->count ? NULL : "bins that do not add up";
}

static const char *get_dim(reader *r, dim *d) {
    d->count = (int64_t)get_u64(r);
    d->ones = get_u64(r);
    d->min = get_f64(r);
    d->max = get_f64(r);
    if (!get_sum(r, &d->sum) || !get_sum(r, &d->square)) {
        return "a sum that is not carried";
    }
    uint64_t shift = get_u64(r), n = get_u64(r);
    if (shift > 63 || n > FW_SUMMARY_BINS || n > (uint64_t)(r->end - r->at) / 2 || d->count < 0 ||
        d->count > MAX_COUNT || (d->count > 0) != (n > 0) || !(d->min <= d->max) || !isfinite(d->max - d->min)) {
        return "a shift, number of bins, count or range that cannot be";
    }
    d->shift = (int)shift;
    d->n = (int64_t)n;
    return get_bins(r, d);
}

static const char *get_pixels(reader *r, summary_feature *f) {
    for (int k = 0; k < 3 * 256; k++) {
        uint64_t v = get_u64(r);
        if (v > MAX_COUNT) {
            return "a count of pixels that cannot be";
        }
        f->pixels[k / 256][k % 256] = v;
    }
    return NULL;
}

static const char *get_feature(reader *r, fw_summary *s) {
    char key[512];
    uint64_t length = get_u64(r);
    if (length < 1 || length >= sizeof key || length > (uint64_t)(r->end - r->at)) {
        return "a name that is too long";
    }
    memcpy(key, r->at, (size_t)length);
    key[length] = 0;
    r->at += length;
    uint64_t image = get_u64(r), n = get_u64(r), count = get_u64(r);
    summary_feature *f;
    if (image > 1 || n < 1 || n > MAX_DIMS || (image && n != 3) || count > MAX_COUNT || strlen(key) != length ||
        summary_find(s, key) != NULL || (!image && n > (uint64_t)(r->end - r->at) / (16 * EXACT_LIMBS))) {
        return "a feature that cannot be";
    }
    if (summary_feature_get(s, key, image == 1, (int64_t)n, &f, NULL) != FW_OK) {
        return "out of memory";
    }
    f->count = (int64_t)count;
    const char *wrong = f->image ? get_pixels(r, f) : NULL;
    for (int64_t d = 0; !f->image && d < f->n && wrong == NULL; d++) {
        wrong = get_dim(r, &f->dims[d]);
        wrong = wrong == NULL && f->dims[d].count != f->count ? "dimensions of unequal counts" : wrong;
    }
    return wrong;
}

fw_status fw_summary_load_mem(const void *data, size_t size, const char *where, fw_summary **out, fw_err *err) {
    char hex[HEX + 1];
    const char *wrong = NULL;
    *out = NULL;
    if (size < sizeof magic + 8 + HEX || memcmp(data, magic, sizeof magic - 1) != 0) {
        return fw_fail(err, FW_FORMAT, "%s: not a summary of values", where);
    }
    if (memcmp(data, magic, sizeof magic) != 0) {
        return fw_fail(err, FW_UNSUPPORTED, "%s: a summary of another version", where);
    }
    reader r = {(const uint8_t *)data + sizeof magic, (const uint8_t *)data + size - HEX, false};
    fw_sha256_hex(data, size - HEX, hex);
    if (memcmp(hex, r.end, HEX) != 0) {
        return fw_fail(err, FW_FORMAT, "%s: damaged: its SHA-256 does not fit", where);
    }
    fw_summary *s;
    FW_TRY(fw_summary_new(&s, err));
    uint64_t n = get_u64(&r);
    wrong = n > MAX_FEATURES ? "too many features" : NULL;
    for (uint64_t i = 0; i < n && wrong == NULL; i++) {
        wrong = get_feature(&r, s);
        wrong = wrong == NULL && r.bad ? "its end is missing" : wrong;
    }
    wrong = wrong == NULL && r.at != r.end ? "something after its end" : wrong;
    if (wrong != NULL) {
        fw_summary_free(s);
        return fw_fail(err, FW_FORMAT, "%s: damaged: %s", where, wrong);
    }
    *out = s;
    return FW_OK;
}

fw_status fw_summary_load(const char *path, fw_summary **out, fw_err *err) {
    char *data;
    size_t size;
    *out = NULL;
    FW_TRY(fw_file_read(path, (size_t)1 << 30, &data, &size, err));
    fw_status st = fw_summary_load_mem(data, size, path, out, err);
    free(data);
    return st;
}
