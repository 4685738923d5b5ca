// The entries that headend launches. The host's side is src/codec/nvidia/ladder.
#include "luma.h"
#include "recolor.h"
#include "scale.h"

KERNEL(ladder_nv12)(const LadderJob job) { ladder<Eight, Eight>(job); }
KERNEL(ladder_p010)(const LadderJob job) { ladder<Ten, Ten>(job); }
KERNEL(ladder_p010_nv12)(const LadderJob job) { ladder<Ten, Eight>(job); }
KERNEL(ladder_nv12_p010)(const LadderJob job) { ladder<Eight, Ten>(job); }

KERNEL(recolor_nv12)(const RecolorJob job) { recolor<Eight>(job); }
KERNEL(recolor_p010)(const RecolorJob job) { recolor<Ten>(job); }

KERNEL(luma_grid_nv12)(const LumaGridJob job) { luma_grid<Eight>(job); }
KERNEL(luma_grid_p010)(const LumaGridJob job) { luma_grid<Ten>(job); }
KERNEL(luma_compare)(const LumaCompareJob job) { compare_cells(job); }
