#!/bin/sh
# In the place of headend-worker: runs the script beside the name that it was started by.
. "$(dirname "$0")/script"
