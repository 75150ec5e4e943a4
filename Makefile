# What people and CI call. `make help` lists it.
#
# Everything that is made lies below out/ (programs, images, store) and
# target/ (cargo). Each target can be repeated: what is done is not redone.

SHELL := /bin/bash
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:

ARCH ?= $(shell uname -m)
ARCHES := x86_64 aarch64
# One of them, where somebody says which.
ifneq ($(origin ARCH),file)
ifneq ($(words $(ARCH)):$(filter-out $(ARCHES),$(ARCH)),1:)
$(error ARCH=$(ARCH): allowed are $(ARCHES))
endif
endif
HULL := out/bin/hull
export HULL_STORE := $(CURDIR)/out/store
export HULL_GUEST := $(CURDIR)/out/guest
STAMPS := out/stamps

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# ---- programs ----------------------------------------------------------------

.PHONY: build
build: deps-build host $(ARCHES:%=guest-%) ## hull, and the guest's programs for both architectures

.PHONY: deps-build deps-run deps-test
deps-build deps-run deps-test: deps-%:
	@build/deps.sh $*

.PHONY: host
host: deps-build
	cargo build --locked --release -p hull
	@mkdir -p out/bin
	@cmp -s $${CARGO_TARGET_DIR:-target}/release/hull $(HULL) || install -m 755 $${CARGO_TARGET_DIR:-target}/release/hull $(HULL)

.PHONY: $(ARCHES:%=guest-%)
$(ARCHES:%=guest-%): guest-%: deps-build
	build/guest.sh $*

# ---- images in the store (out/store) -----------------------------------------

# $(call kernel,SERIES,ARCH): Debian's cloud kernel as hullkit/kernel:SERIES.
define kernel
$(STAMPS)/kernel-$(1)-$(2): | host
	@mkdir -p $(STAMPS)
	deb=$$$$(build/apt.sh $(2) $(CURDIR)/out/kernels --kernel $(1)) && $(HULL) kernel import --name hullkit/kernel:$(1) "$$$$deb"
	@touch $$@
$(STAMPS)/kernel-$(1)-$(2): kernel/modules/default.list $(wildcard kernel/src/*.rs)
endef
$(foreach arch,$(ARCHES),$(foreach series,6.12 6.1,$(eval $(call kernel,$(series),$(arch)))))

# $(call package,NAME,DIR,ARCH,PROGRAM): the package DIR as an image.
define package
$(STAMPS)/debs-$(1)-$(3): $(wildcard $(2)/debs.list)
	@mkdir -p $(STAMPS)
	@[ ! -f $(2)/debs.list ] || build/apt.sh $(3) $(CURDIR)/out/debs/$(3) $$$$(sed 's/#.*//' $(2)/debs.list) >/dev/null
	@touch $$@
$(STAMPS)/package-$(1)-$(3): $(shell find $(2) -type f -not -path '*/src/*' -not -path '*/fuzz/*') $(STAMPS)/debs-$(1)-$(3) | host guest-$(3)
	$(HULL) pkg build --arch $(3) --debs out/debs/$(3) $(2)
	@touch $$@
ifneq ($(4),)
$(STAMPS)/package-$(1)-$(3): out/guest/$(3)/$(4)
out/guest/$(3)/$(4): | guest-$(3) ;
endif
endef
$(foreach arch,$(ARCHES),$(foreach name,dhcp sysctl getty logforward,$(eval $(call package,$(name),services/$(name),$(arch),$(name)))))
$(foreach arch,$(ARCHES),$(eval $(call package,redis,examples/redis,$(arch),)))
$(foreach arch,$(ARCHES),$(eval $(call package,efi-stub,boot/efi-stub,$(arch),)))

.PHONY: images-minimal
images-minimal: $(STAMPS)/kernel-6.12-$(ARCH) $(foreach n,dhcp sysctl getty,$(STAMPS)/package-$(n)-$(ARCH))

.PHONY: redis
redis: $(ARCHES:%=$(STAMPS)/package-redis-%) ## Debian's redis-server as the image hullkit/redis

.PHONY: images
images: redis $(ARCHES:%=$(STAMPS)/package-efi-stub-%) $(foreach a,$(ARCHES),$(foreach s,6.12 6.1,$(STAMPS)/kernel-$(s)-$(a)) $(foreach n,dhcp sysctl getty logforward,$(STAMPS)/package-$(n)-$(a))) ## every image that examples and tests use

# ---- the main job ------------------------------------------------------------

.PHONY: boot
boot: deps-run host guest-$(ARCH) ## build examples/minimal.yml and boot it on this terminal (ARCH=aarch64 for the other)
	@$(MAKE) --no-print-directory images-minimal
	$(HULL) build --arch $(ARCH) --dir out/boot --name minimal-$(ARCH) examples/minimal.yml
	$(HULL) run --arch $(ARCH) out/boot/minimal-$(ARCH)

.PHONY: run-redis
run-redis: deps-run host guest-$(ARCH) ## build examples/redis.yml and run it, on port 6379 of this machine
	@$(MAKE) --no-print-directory images-minimal $(STAMPS)/package-redis-$(ARCH)
	$(HULL) build --arch $(ARCH) --dir out/boot --name redis-$(ARCH) examples/redis.yml
	$(HULL) run --arch $(ARCH) --publish 6379:6379 out/boot/redis-$(ARCH)

# ---- tests -------------------------------------------------------------------

# The crates whose tests need no virtual machine.
UNIT := --workspace --exclude qemu-tests --exclude qemu-tests-agent

.PHONY: check
check: deps-test ## formatting, clippy, unit tests
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo test --locked $(UNIT)

.PHONY: test
test: deps-test ## every test, the QEMU ones too, on both architectures
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory build
	@$(MAKE) --no-print-directory images
	@$(MAKE) --no-print-directory test-import test-seccomp test-runtime test-clients
	HULLKIT_OUT=$(CURDIR)/out cargo test --locked -p qemu-tests

.PHONY: test-import
test-import: images # Debian's real packages, with depmod's word for it
	HULLKIT_KERNEL_DEBS=$(CURDIR)/out/kernels cargo test --locked -p hull --test kernel_import

# The default profiles of Podman and Docker, from Debian's packages of them.
PROFILE_PACKAGES := golang-github-containers-common golang-github-docker-docker-dev
PROFILES := usr/share/containers/seccomp.json usr/share/gocode/src/github.com/docker/docker/profiles/seccomp/default.json

.PHONY: test-seccomp
test-seccomp: deps-test # the filter compiler against libseccomp
	set -e; for deb in $$(build/apt.sh x86_64 $(CURDIR)/out/debs $(PROFILE_PACKAGES)); do dpkg-deb -x $$deb out/profiles; done
	HULLKIT_SECCOMP_PROFILES=$(subst $(eval ) ,:,$(PROFILES:%=$(CURDIR)/out/profiles/%)) \
	cargo test --locked -p runc-shim --lib seccomp::differential

# The runtime alone, case by case, below both kernels.
RUNTIME_KERNELS := $(foreach series,6.12 6.1,$(CURDIR)/out/boot/bare-$(series)-kernel)
$(RUNTIME_KERNELS): $(CURDIR)/out/boot/bare-%-kernel: $(STAMPS)/kernel-%-x86_64 | guest-x86_64
	@mkdir -p out/boot
	printf 'kernel:\n  image: hullkit/kernel:$*\n  cmdline: ""\n' >out/boot/bare-$*.yml
	$(HULL) build --arch x86_64 --dir out/boot --name bare-$* out/boot/bare-$*.yml

# Modules that some cases want, as the kernels' packages have them.
RUNTIME_MODULES := $(foreach series,6.12 6.1,$(CURDIR)/out/boot/bare-$(series)-modules)
$(RUNTIME_MODULES): $(CURDIR)/out/boot/bare-%-modules: $(STAMPS)/kernel-%-x86_64
	@rm -rf $@.new $@ && mkdir -p $@.new
	deb=$$(build/apt.sh x86_64 $(CURDIR)/out/kernels --kernel $*) && dpkg-deb --fsys-tarfile "$$deb" | \
	tar -x -C $@.new --transform 's|.*/||' --wildcards '*/drivers/net/dummy.ko*' '*/fs/overlayfs/overlay.ko*'
	for module in $@.new/*.xz; do [ ! -e "$$module" ] || busybox unxz "$$module"; done
	@mv $@.new $@

# A few of the cases on the other architecture.
SMOKE := root-readonly mount-flags masked namespaces-new seccomp notify-run notify-create cgroup-limits devices-denied exec-joins-all terminal-run
$(CURDIR)/out/boot/bare-aarch64-kernel: $(STAMPS)/kernel-6.12-aarch64 | guest-aarch64
	@mkdir -p out/boot
	printf 'kernel:\n  image: hullkit/kernel:6.12\n  cmdline: ""\n' >out/boot/bare-aarch64.yml
	$(HULL) build --arch aarch64 --dir out/boot --name bare-aarch64 out/boot/bare-aarch64.yml
$(CURDIR)/out/boot/busybox-aarch64: $(STAMPS)/debs-getty-aarch64
	@mkdir -p out/boot
	dpkg-deb --fsys-tarfile out/debs/aarch64/busybox-static_*.deb | tar -xO ./bin/busybox >$@.new && mv $@.new $@

.PHONY: test-runtime
test-runtime: guest-x86_64 guest-aarch64 $(RUNTIME_KERNELS) $(RUNTIME_MODULES) $(CURDIR)/out/boot/bare-aarch64-kernel $(CURDIR)/out/boot/busybox-aarch64
	HULLKIT_KERNEL=$(subst $(eval ) ,:,$(RUNTIME_KERNELS)) HULLKIT_RUNC_SHIM=$(CURDIR)/out/guest/x86_64/runc-shim \
	HULLKIT_MODULES=$(subst $(eval ) ,:,$(RUNTIME_MODULES)) cargo test --locked -p runc-shim --test guest
	HULLKIT_KERNEL=$(CURDIR)/out/boot/bare-aarch64-kernel HULLKIT_RUNC_SHIM=$(CURDIR)/out/guest/aarch64/runc-shim \
	HULLKIT_BUSYBOX=$(CURDIR)/out/boot/busybox-aarch64 HULLKIT_CASE='$(SMOKE)' cargo test --locked -p runc-shim --test guest

.PHONY: soak
soak: deps-test ## long runs: 200 boots, 100 shutdowns, 1,000 kills (SOAK='boots=20' for others)
	@$(MAKE) --no-print-directory build images
	HULLKIT_OUT=$(CURDIR)/out cargo run --locked -p qemu-tests --bin soak -- $(SOAK)

# podman, containerd and Docker, with the libraries that they are linked with.
CLIENTS := podman conmon golang-github-containers-common containerd docker.io \
	libassuan0 libaudit1 libbz2-1.0 libc6 libcap-ng0 libcap2 libcrypt1 libdevmapper1.02.1 \
	libgcc-s1 libgcrypt20 libglib2.0-0 libgpg-error0 libgpgme11 liblz4-1 liblzma5 libpam0g \
	libpcre2-8-0 libseccomp2 libselinux1 libsemanage2 libsepol2 libsubid4 libsystemd0 libudev1 libzstd1
$(STAMPS)/clients: Makefile
	@mkdir -p $(STAMPS)
	build/apt.sh x86_64 $(CURDIR)/out/debs/clients $(CLIENTS) >/dev/null
	@touch $@

.PHONY: test-clients
test-clients: guest-x86_64 $(CURDIR)/out/boot/bare-6.12-kernel $(STAMPS)/clients # real clients call the runtime
	HULLKIT_KERNEL=$(CURDIR)/out/boot/bare-6.12-kernel HULLKIT_RUNC_SHIM=$(CURDIR)/out/guest/x86_64/runc-shim \
	HULLKIT_CLIENTS=$(CURDIR)/out/debs/clients cargo test --locked -p runc-shim --test clients

.PHONY: bench
bench: deps-test ## boot times and sizes, in virtual time; builds and pulls (docs/performance.md)
	@$(MAKE) --no-print-directory build
	@$(MAKE) --no-print-directory images
	HULLKIT_OUT=$(CURDIR)/out cargo run --locked --release -p qemu-tests --bin bench
	@$(MAKE) --no-print-directory bench-build bench-pull

.PHONY: bench-build
bench-build: deps-test host guest-$(ARCH) images-minimal ## time and memory of builds: first, again, after a change; 10 MB to 2 GB
	HULL=$(HULL) build/bench-build.sh

# The field's runtimes, and Podman's filter.
PEERS := crun runc golang-github-containers-common libc6 libcap2 libgcrypt20 libgpg-error0 liblz4-1 liblzma5 libseccomp2 libsystemd0 libyajl2 libzstd1
$(STAMPS)/peers: Makefile
	@mkdir -p $(STAMPS)
	build/apt.sh x86_64 $(CURDIR)/out/debs/peers $(PEERS) >/dev/null
	@touch $@

.PHONY: bench-runtime
bench-runtime: guest-x86_64 $(CURDIR)/out/boot/bare-6.12-kernel $(STAMPS)/peers ## our runtime against crun and runc (docs/performance.md)
	HULLKIT_KERNEL=$(CURDIR)/out/boot/bare-6.12-kernel HULLKIT_RUNC_SHIM=$(CURDIR)/out/guest/x86_64/runc-shim \
	HULLKIT_PEERS=$(CURDIR)/out/debs/peers cargo bench --locked -p runc-shim --bench runtimes

.PHONY: bench-pull
bench-pull: deps-test host ## a pull from a registry on this machine, against skopeo's
	HULL=$(HULL) build/bench-pull.sh

.PHONY: clean
clean: ## removes out/ and target/
	rm -rf out target
