#!/usr/bin/env bash
# Build kube-scheduler and kube-apiserver 1.20.2 from Debian 12's own `kubernetes` source package.
# For tests alone: Debian's patches are not applied, security ones included. About 4 minutes on 2 cores, cold.
#
#   usage: build-kubernetes.sh DIR [--install-packages]
#
# The binaries end in DIR/bin, etcd beside them; running it again changes nothing. It needs the Debian packages below
# and a deb-src line for bookworm; --install-packages (as root) sees to both.
set -euo pipefail

PACKAGES=(golang-go golang-github-modern-go-reflect2-dev etcd-server dpkg-dev openssl)
DIR=${1:?usage: build-kubernetes.sh DIR [--install-packages]}
mkdir -p "$DIR/bin"
DIR=$(cd "$DIR" && pwd)
if [ -x "$DIR/bin/kube-apiserver" ] && [ -x "$DIR/bin/kube-scheduler" ] && [ -x "$DIR/bin/etcd" ]; then
  exit 0
fi

if [ "${2:-}" = --install-packages ]; then
  if ! apt-cache showsrc kubernetes >/dev/null 2>&1; then
    # The same mirror as for binaries, whichever that is.
    sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >/etc/apt/sources.list.d/debian-src.sources
  fi
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${PACKAGES[@]}"
fi

export GOPATH=$DIR/gopath GOCACHE=$DIR/gocache GO111MODULE=off CGO_ENABLED=0
SOURCE=$GOPATH/src/k8s.io/kubernetes
if [ ! -d "$SOURCE" ]; then
  (cd "$DIR" && apt-get source --download-only kubernetes)
  mkdir -p "$SOURCE.part"
  tar xzf "$DIR"/kubernetes_*.orig.tar.gz -C "$SOURCE.part" --strip-components=1
  mv "$SOURCE.part" "$SOURCE"
fi
cd "$SOURCE"

# The tree's own reflect2 does not know how Go walks maps since 1.18: a custom resource would end kube-apiserver.
rm -f vendor/github.com/modern-go/reflect2/*.go
cp /usr/share/gocode/src/github.com/modern-go/reflect2/*.go vendor/github.com/modern-go/reflect2/

build() { go build -o "$DIR/bin/$1" "k8s.io/kubernetes/$2"; }

build kube-scheduler cmd/kube-scheduler

# kube-apiserver needs generated OpenAPI definitions, made with the tree's own generator.
build openapi-gen vendor/k8s.io/kube-openapi/cmd/openapi-gen
packages=$(grep -rl --include='*.go' -E '^// ?\+k8s:openapi-gen=true' vendor/k8s.io/ staging/src/k8s.io pkg |
  grep -v _test.go | xargs -n1 dirname | sort -u |
  sed -E 's#^staging/src/#k8s.io/kubernetes/vendor/#; s#^(vendor|pkg)#k8s.io/kubernetes/\1#' | sort -u |
  grep -vE '/(testdata|test/integration|sample-|examples|code-generator)' | paste -sd,)
"$DIR/bin/openapi-gen" --go-header-file hack/boilerplate/boilerplate.generatego.txt -i "$packages" \
  -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi -o "$GOPATH/src" --report-filename "$DIR/openapi.report"
build kube-apiserver cmd/kube-apiserver
ln -sf "$(command -v etcd)" "$DIR/bin/etcd"
echo "build-kubernetes: export PATH=$DIR/bin:\$PATH"
