/* unfold_int.h - how a kernel is inlined and unrolled, and how not under a sanitizer. */
#ifndef FW_KERN_UNFOLD_INT_H
#define FW_KERN_UNFOLD_INT_H

#define FW_INLINE static inline __attribute__((always_inline, unused))

/* FW_UNFOLD: a kernel that is compiled once for each value of its constant arguments, loops unrolled. Under a sanitizer
 * every load of it grows a check and the unfolded file takes minutes to compile: there it is one ordinary function. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FW_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(FW_SANITIZED)
#define FW_UNFOLD    static __attribute__((noinline, unused))
#define FW_UNROLL(n) _Pragma("GCC unroll 1")
#else
#define FW_UNFOLD    FW_INLINE
#define FW_UNROLL(n) FW_PRAGMA(GCC unroll n)
#endif
#define FW_PRAGMA(x) _Pragma(#x)

#endif /* FW_KERN_UNFOLD_INT_H */
