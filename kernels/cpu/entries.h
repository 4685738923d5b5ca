// Every entry of ladder.cu and its job.
#define ENTRIES(ENTRY)              \
  ENTRY(ladder_nv12, LadderJob)       \
  ENTRY(ladder_p010, LadderJob)       \
  ENTRY(ladder_p010_nv12, LadderJob)  \
  ENTRY(ladder_nv12_p010, LadderJob)  \
  ENTRY(recolor_nv12, RecolorJob)     \
  ENTRY(recolor_p010, RecolorJob)     \
  ENTRY(luma_grid_nv12, LumaGridJob)  \
  ENTRY(luma_grid_p010, LumaGridJob)  \
  ENTRY(luma_compare, LumaCompareJob)

#define STRUCTS(STRUCT)  \
  STRUCT(LadderJob)      \
  STRUCT(RecolorJob)     \
  STRUCT(LumaGridJob)    \
  STRUCT(LumaCompareJob) \
  STRUCT(LumaComparison)
