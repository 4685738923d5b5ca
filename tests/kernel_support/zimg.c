// zimg FILTER SOURCE_WIDTH SOURCE_HEIGHT WIDTH HEIGHT: 8-bit planar 4:2:0 from standard input, scaled by zimg, to standard output.
// FILTER is bicubic (B = 0, C = 0.6) or lanczos (3 lobes). Chroma is sited left.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zimg.h>

struct Picture {
  unsigned width, height;
  size_t stride[3];
  unsigned char* planes[3];
};

static unsigned side(unsigned length, int plane) { return plane ? (length + 1) / 2 : length; }

static struct Picture picture_of(unsigned width, unsigned height) {
  struct Picture picture = {.width = width, .height = height};
  for (int plane = 0; plane < 3; plane++) {
    picture.stride[plane] = (side(width, plane) + 63) / 64 * 64;
    picture.planes[plane] = aligned_alloc(64, picture.stride[plane] * side(height, plane));
    if (!picture.planes[plane]) exit(1);
  }
  return picture;
}

static void each_row(struct Picture* picture, size_t (*move)(unsigned char*, size_t)) {
  for (int plane = 0; plane < 3; plane++) {
    for (unsigned y = 0; y < side(picture->height, plane); y++) {
      const unsigned width = side(picture->width, plane);
      if (move(picture->planes[plane] + y * picture->stride[plane], width) != width) exit(1);
    }
  }
}

static size_t read_row(unsigned char* row, size_t length) { return fread(row, 1, length, stdin); }
static size_t write_row(unsigned char* row, size_t length) { return fwrite(row, 1, length, stdout); }

static zimg_image_format format_of(const struct Picture* picture) {
  zimg_image_format format;
  zimg_image_format_default(&format, ZIMG_API_VERSION);
  format.width = picture->width;
  format.height = picture->height;
  format.pixel_type = ZIMG_PIXEL_BYTE;
  format.subsample_w = format.subsample_h = 1;
  format.color_family = ZIMG_COLOR_YUV;
  format.pixel_range = ZIMG_RANGE_LIMITED;
  format.chroma_location = ZIMG_CHROMA_LEFT;
  return format;
}

static zimg_graph_builder_params params_of(const char* filter) {
  zimg_graph_builder_params params;
  zimg_graph_builder_params_default(&params, ZIMG_API_VERSION);
  const int lanczos = !strcmp(filter, "lanczos");
  params.resample_filter = params.resample_filter_uv = lanczos ? ZIMG_RESIZE_LANCZOS : ZIMG_RESIZE_BICUBIC;
  params.filter_param_a = params.filter_param_a_uv = lanczos ? 3 : 0;
  params.filter_param_b = params.filter_param_b_uv = lanczos ? params.filter_param_b : 0.6;
  return params;
}

int main(int count, char** arguments) {
  if (count != 6) return fprintf(stderr, "zimg FILTER SOURCE_WIDTH SOURCE_HEIGHT WIDTH HEIGHT\n"), 2;
  struct Picture from = picture_of(atoi(arguments[2]), atoi(arguments[3])), to = picture_of(atoi(arguments[4]), atoi(arguments[5]));
  each_row(&from, read_row);
  const zimg_image_format source = format_of(&from), target = format_of(&to);
  const zimg_graph_builder_params params = params_of(arguments[1]);
  zimg_filter_graph* graph = zimg_filter_graph_build(&source, &target, &params);
  size_t size = 0;
  if (!graph || zimg_filter_graph_get_tmp_size(graph, &size)) return fprintf(stderr, "zimg refuses\n"), 1;
  zimg_image_buffer_const reading = {.version = ZIMG_API_VERSION};
  zimg_image_buffer writing = {.version = ZIMG_API_VERSION};
  for (int plane = 0; plane < 3; plane++) {
    reading.plane[plane].data = from.planes[plane], reading.plane[plane].stride = from.stride[plane];
    reading.plane[plane].mask = writing.plane[plane].mask = ZIMG_BUFFER_MAX;
    writing.plane[plane].data = to.planes[plane], writing.plane[plane].stride = to.stride[plane];
  }
  void* scratch = aligned_alloc(64, (size + 63) / 64 * 64);
  if (!scratch || zimg_filter_graph_process(graph, &reading, &writing, scratch, NULL, NULL, NULL, NULL)) return 1;
  each_row(&to, write_row);
  return 0;
}
