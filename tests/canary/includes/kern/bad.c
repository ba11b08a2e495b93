/* must be refused by tools/check_includes.sh: kern may not know models, nor another module's private header */
#include "base/log_int.h"
#include "model/flywheel_s.h"
