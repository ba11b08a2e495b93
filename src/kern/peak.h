/*
 * peak.h - the most that this CPU can do: independent multiply-adds in registers, with nothing read from memory.
 *
 *   double t = fw_now_s(), ops = fw_peak_run("avx2", 1000000);
 *   gflops = 1e-9 * ops / (fw_now_s() - t);
 *
 * The instructions are those that the products of a table (kern.h) are made of, so that part of the peak is a statement about it.
 */
#ifndef FW_KERN_PEAK_H
#define FW_KERN_PEAK_H

#include <stdint.h>

/* n rounds on the calling thread, of the table called isa, which this CPU must have (fw_kern_find). Returns the operations done, a
 * multiply-add counting as 2; 0, having done nothing: not known for this table. */
double fw_peak_run(const char *isa, int64_t n);
/* The instruction, "vfmadd231ps ymm"; "" where it is not known. Static. */
const char *fw_peak_name(const char *isa);

#endif /* FW_KERN_PEAK_H */
