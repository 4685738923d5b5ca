//! FLV tags: what RTMP audio and video messages carry.
