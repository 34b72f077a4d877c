"""VERIFY.txt of a bundle: how to check it with stock tools, each command as it is typed.

Every line that does not begin with `#` is a command; tests type them. docs/VERIFY.md has the same.
"""

from __future__ import annotations

from typing import Final

VERIFY: Final = r"""# Verifying {name} {version} with stock tools
# {line}
#
# Type these in this folder, in bash. Lines that begin with # are for you, all others are commands.
# None of them writes to the medium, and none needs a network. Type them from docs/VERIFY.md of a
# machine that you trust if you can: this text came on the medium that it helps to check.
#
# 1. sha256sum: every byte is what the list says
#
# No output means that all files are intact. This finds damage, not forgery: whoever can change a
# file can change the list. The other steps say who vouches for it.

sha256sum --check --quiet SHA256SUMS

# 2. sha256sum: the root is the one that you were told of
#
# The fingerprint comes from the vendor through a separate channel, never from the medium. Type it
# between the quotes as you have it: in groups or not, in upper or lower case. The last command must
# print a file's name; with no output, stop here.

FINGERPRINT="THE-FINGERPRINT-THAT-YOU-WERE-TOLD"
TOLD=$(echo "$FINGERPRINT" | tr '[:upper:]' '[:lower:]' | tr -cd 'a-z0-9' | sed 's/^sha256//')
ROOT=$(sha256sum trust/*.root.json | awk -v told="$TOLD" '$1 == told {print $2}')
echo "$ROOT" | grep root

# 3. python-tuf: enough approvers signed, nothing is expired, bundle.json is what they signed
#
# This is The Update Framework's own client (pip install tuf). It must print bundle.json.

python3 - "$ROOT" <<'END'
import pathlib, sys, tempfile
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

class Folder(FetcherInterface):
    def _fetch(self, url):
        path = pathlib.Path(url)
        if not path.is_file():
            raise DownloadHTTPError(url, 404)
        return iter([path.read_bytes()])

with tempfile.TemporaryDirectory() as seen:
    root = pathlib.Path(sys.argv[1]).read_bytes()
    client = Updater(seen, "trust", fetcher=Folder(), bootstrap=root)
    client.refresh()
    print(client.find_cached_target(client.get_targetinfo("bundle.json"), "bundle.json"))
END

# 4. sha256sum: every byte is what bundle.json says
#
# bundle.json is authentic after step 3, and names every blob and the files next to it. No output
# means that all are as it says.

python3 - <<'END' | sha256sum --check --quiet
import json
bundle = json.load(open("bundle.json"))
for blob in bundle["blobs"]:
    digest = blob["digest"].removeprefix("sha256:")
    print(f"{digest}  blobs/sha256/{digest}")
for file in bundle["layout"]:
    print(file["digest"].removeprefix("sha256:"), file["path"], sep="  ")
END

# 5. openssl: the builder and each approver signed bundle.json itself, with a key of the root
#
# Each key must give "Signature Verified Successfully", and no line may begin with NOT. (OpenSSL 3;
# a signature by an ML-DSA key is in the form of TUF's TAP 21, which step 3 checks and openssl does
# not know.)

NEWEST=$(ls trust/*.root.json | sort -V | tail -n 1)
for key in attestations/keys/*.pem; do
  id=$(basename "$key" .pem)
  long=$(openssl pkey -pubin -in "$key" -noout -text | sed -n 's/.*secp384r1.*/-digest sha384/p')
  base64 -d "attestations/bundle.json.$id.sig" |
    openssl pkeyutl -verify -pubin -inkey "$key" -rawin $long -sigfile /dev/stdin -in bundle.json ||
    echo "NOT a good signature: $id"
  raw=$(openssl pkey -pubin -in "$key" -outform DER | tail -c 32 | od -An -v -tx1 | tr -d ' \n')
  pem=$(awk '{printf "%s\\n", $0}' "$key")
  grep -q -F -e "$raw" -e "$pem" "$NEWEST" || echo "NOT a key of the root: $id"
done

# 6. cosign: the same signatures, and the attestations
#
# Each must end in "Verified OK". The transparency log is left out since these signatures are made
# with keys, offline. (cosign 3; it takes Ed25519 and ECDSA P-256 keys.)

for key in attestations/keys/*.pem; do
  id=$(basename "$key" .pem)
  cosign verify-blob --insecure-ignore-tlog --key "$key" \
    --signature "attestations/bundle.json.$id.sig" bundle.json ||
    echo "NOT a good signature: $id"
done
for file in provenance:slsaprovenance1 changes:urn:isoward:changes:v1 \
  $(cd attestations && ls approval-*.dsse.json | sed 's/.dsse.json/:urn:isoward:approval:v1/'); do
  statement="attestations/${file%%:*}.dsse.json"
  id=$(sed 's/.*"keyid":"\(.\{16\}\).*/\1/' "$statement")
  cosign verify-blob-attestation --insecure-ignore-tlog --key "attestations/keys/$id.pem" \
    --signature "$statement" --type "${file#*:}" bundle.json ||
    echo "NOT a good attestation: $statement"
done

# What they say: how it was built, what changed, who approved it by which ticket.

for statement in attestations/*.dsse.json; do
  sed 's/.*"payload":"\([^"]*\)".*/\1/' "$statement" | base64 -d | python3 -m json.tool
done

# 7. skopeo: the images can be read by any OCI tool
#
# Each digest that is printed must stand in bundle.json; with NOT it does not. skopeo reads only
# OCI's own manifests from a folder: Docker's are checked by sha256sum instead.

python3 - <<'END' |
import json
for entry in json.load(open("index.json"))["manifests"]:
    name = entry.get("annotations", {}).get("org.opencontainers.image.ref.name")
    if name:
        print(entry["mediaType"], entry["digest"].removeprefix("sha256:"), name)
END
while read -r type blob name; do
  case $type in
    application/vnd.oci.image.*) digest=$(skopeo inspect --raw "oci:.:$name" | sha256sum) ;;
    *) digest=$(sha256sum "blobs/sha256/$blob") ;;
  esac
  digest=$(echo "$digest" | cut -c 1-64)
  grep -q "sha256:$digest" bundle.json && echo "$digest $name" || echo "NOT in bundle.json: $name"
done

# 8. sha256sum: install.sh is the one that bundle.json names
#
# Before you run it, on a medium that has one; it must print install.sh. It has the digest of all
# that it uses, and checks it. On a bare machine, without python3, begin with steps 1, 2, 5 and this
# one (without openssl do step 5 on another machine): bundle.json is then signed by keys of the root
# that you were told of, whether by enough of them is left open. Then run `sh install.sh`, and with
# what it installed `isoward verify`, which does all the rest, before anything else is used.

if [ -f install.sh ]; then
  digest=$(sha256sum install.sh | cut -c 1-64)
  grep -q "\"digest\":\"sha256:$digest\",\"path\":\"install.sh\"" bundle.json &&
    echo install.sh || echo "NOT in bundle.json: install.sh"
fi
"""
