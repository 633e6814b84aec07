// The ReLU of what another kernel gave.
#pragma once

#include "runtime.h"

namespace convnets {

// Takes max(0, y) of all of y in its place. oneDNN could do so on the way, but makes a NaN zero, and a run that diverges
// must be seen to.
void rectify(Result& y, int64_t threads);

}  // namespace convnets
