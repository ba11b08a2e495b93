/*
 * board.h - a value that one thread writes and many read, without a lock: a sequence lock over words (C11 atomics, clean for the thread sanitizer).
 *
 * The writer never waits; a reader that meets a write tries again.
 */
#ifndef FW_ROBOT_BOARD_H
#define FW_ROBOT_BOARD_H

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

enum { FW_BOARD_WORDS = 256 };

typedef struct fw_board {
    _Atomic uint32_t seq; /* odd: being written */
    _Atomic uint64_t word[FW_BOARD_WORDS];
} fw_board;

/* value: bytes, at most 8 * FW_BOARD_WORDS. One writer. */
static inline void fw_board_write(fw_board *b, const void *value, size_t bytes) {
    const uint32_t seq = atomic_load_explicit(&b->seq, memory_order_relaxed);
    atomic_store_explicit(&b->seq, seq + 1, memory_order_relaxed);
    for (size_t i = 0; i * 8 < bytes; i++) {
        uint64_t w = 0;
        memcpy(&w, (const char *)value + i * 8, bytes - i * 8 < 8 ? bytes - i * 8 : 8);
        atomic_store_explicit(&b->word[i], w, memory_order_release); /* after seq is odd */
    }
    atomic_store_explicit(&b->seq, seq + 2, memory_order_release);
}

/* How many writes there were before the one that was read; 0: none yet, and value is zeros. */
static inline uint32_t fw_board_read(const fw_board *b, void *value, size_t bytes) {
    for (;;) {
        const uint32_t seq = atomic_load_explicit(&b->seq, memory_order_acquire);
        for (size_t i = 0; i * 8 < bytes && seq % 2 == 0; i++) {
            const uint64_t w =
                atomic_load_explicit(&b->word[i], memory_order_acquire); /* before seq is looked at again */
            memcpy((char *)value + i * 8, &w, bytes - i * 8 < 8 ? bytes - i * 8 : 8);
        }
        if (seq % 2 == 0 && atomic_load_explicit(&b->seq, memory_order_relaxed) == seq) {
            return seq / 2;
        }
    }
}

#endif /* FW_ROBOT_BOARD_H */
