// must be refused too: shims obey the same rules
#include "data/dataset.h"
