/* any bytes as a msgpack message: parsed or refused in words; what is in it is read in every way there is */
#include <stdint.h>
#include <stdlib.h>

#include "wire/mp_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void refused(fw_status st, const fw_err *err) {
    if (st != FW_OK && (err->msg[0] == 0 || err->code != st)) {
        abort();
    }
}

static void read_value(const msgpack_object *o) {
    static float numbers[4096];
    fw_err err = {0};
    fw_nd nd;
    size_t n;
    char text[64];
    fw_status st = fw_nd_view(o, "fuzz", &nd, &err);
    refused(st, &err);
    if (st == FW_OK) {
        double x[8];
        fw_nd_f64(&nd, 0, nd.count < 8 ? nd.count : 8, x);
        fw_nd_say(&nd, text, sizeof text);
    }
    st = fw_mp_numbers(o, "fuzz", numbers, 4096, &n, &err);
    refused(st, &err);
    if (n > 4096) {
        abort();
    }
    (void)fw_mp_text(o, text, sizeof text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fw_mp_doc doc;
    fw_err err = {0};
    json_t *j;
    fw_status st = fw_mp_parse(data, size, &doc, &err);
    refused(st, &err);
    if (st != FW_OK) {
        return 0;
    }
    read_value(&doc.root);
    for (uint32_t i = 0; doc.root.type == MSGPACK_OBJECT_MAP && i < doc.root.via.map.size; i++) {
        read_value(&doc.root.via.map.ptr[i].val);
    }
    st = fw_mp_to_json(&doc.root, &j, &err);
    refused(st, &err);
    if (st == FW_OK) { /* and back: the same document */
        fw_mp_out o;
        fw_buf b;
        fw_mp_doc again;
        json_t *k;
        fw_mp_begin(&o), fw_mp_put_json(&o, j);
        if (fw_mp_end(&o, &b, NULL) != FW_OK || fw_mp_parse(fw_buf_data(&b), b.n, &again, NULL) != FW_OK ||
            fw_mp_to_json(&again.root, &k, NULL) != FW_OK || !json_equal(j, k)) {
            abort();
        }
        json_decref(k);
        fw_mp_clear(&again);
        fw_buf_free(&b);
        json_decref(j);
    }
    fw_mp_clear(&doc);
    return 0;
}
