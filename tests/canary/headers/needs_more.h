/* must be refused by tools/check_headers.sh: uses a type that it does not include */
#ifndef NEEDS_MORE_H
#define NEEDS_MORE_H
size_t needs_more(fw_err *err);
#endif
