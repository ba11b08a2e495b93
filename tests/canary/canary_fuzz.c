/* must FAIL under the asan preset: a fuzz target that reads one byte beyond its input; proves that the replay sees it */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    printf("%d\n", data[size]);
    return 0;
}
