#include <stdint.h>
#include <stdio.h>
#include <x264.h>
