"""What is in the binaries: sbom.cdx.json (CycloneDX 1.5) and THIRD-PARTY-LICENSES.txt.

    inventory.py ROOT RUST-VERSION COMMIT OUT

Taken from Cargo's own resolution for both targets, without what only builds and tests need.
The same sources give the same bytes: no time, no random number, everything sorted.
"""

import hashlib
import json
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

TARGETS = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"]
LICENCE_FILES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT", "UNLICENSE")
# A licence of C code that a crate brings along lies this deep.
LICENCE_DEPTH = 2
# Where a crate's archive has no licence file: the text is that of another crate's.
STANDARD = {"MIT", "Apache-2.0"}


def metadata(root: Path, rust: str, target: str) -> dict:
    found = subprocess.run(
        ["cargo", f"+{rust}", "metadata", "--locked", "--format-version", "1", "--filter-platform", target],
        cwd=root, check=True, capture_output=True)
    return json.loads(found.stdout)


def linked(graph: dict) -> dict[str, set[str]]:
    """Each package that is compiled into the binary, with the packages that it uses."""
    nodes = {node["id"]: node for node in graph["resolve"]["nodes"]}
    macros = {package["id"] for package in graph["packages"]
              if any("proc-macro" in made["kind"] for made in package["targets"])}
    uses: dict[str, set[str]] = {}
    left = [graph["resolve"]["root"]]
    while left:
        package = left.pop()
        if package in uses:
            continue
        uses[package] = {dep["pkg"] for dep in nodes[package]["deps"]
                         if dep["pkg"] not in macros and any(kind["kind"] is None for kind in dep["dep_kinds"])}
        left += uses[package]
    return uses


def reference(package: dict) -> str:
    return f"pkg:cargo/{package['name']}@{package['version']}"


def licence(package: dict) -> str:
    # The older way to write "or".
    return (package["license"] or "").replace("/", " OR ")


def component(package: dict, checksums: dict) -> dict:
    made = {
        "type": "library", "bom-ref": reference(package), "name": package["name"], "version": package["version"],
        "purl": reference(package), "licenses": [{"expression": licence(package)}], "scope": "required",
    }
    if package["description"]:
        made["description"] = " ".join(package["description"].split())
    checksum = checksums.get((package["name"], package["version"]))
    if checksum:
        made["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["repository"]:
        made["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return made


def sbom(packages: dict, uses: dict, product: str, checksums: dict, commit: str) -> dict:
    us = packages[product]
    parts = sorted((packages[id] for id in uses if id != product), key=reference)
    document = {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": reference(us), "name": us["name"], "version": us["version"],
                "description": us["description"], "licenses": [{"expression": us["license"]}],
                "properties": [{"name": "commit", "value": commit}]
                + [{"name": "target", "value": target} for target in TARGETS],
            },
        },
        "components": [component(package, checksums) for package in parts],
        "dependencies": [
            {"ref": reference(package), "dependsOn": sorted(reference(packages[id]) for id in uses[package["id"]])}
            for package in sorted([us, *parts], key=reference)
        ],
    }
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).digest()
    document["serialNumber"] = f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=4)}"
    return document


def licence_files(package: dict) -> list[Path]:
    top = Path(package["manifest_path"]).parent
    found = [path for path in top.rglob("*")
             if path.is_file() and path.name.upper().startswith(LICENCE_FILES)
             and path.suffix.lower() in ("", ".md", ".txt", ".mit", ".apache", ".bsd") or
             path.is_file() and path.name.upper().startswith(("LICENSE-", "LICENSE.", "LICENCE-"))]
    return sorted(path for path in set(found) if len(path.relative_to(top).parts) <= LICENCE_DEPTH)


def third_party(packages: list[dict]) -> str:
    """Each text once, under the crates that it comes from."""
    texts: dict[str, list[str]] = {}
    overview, bare = [], []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        overview.append(f"{name}: {licence(package)}")
        top = Path(package["manifest_path"]).parent
        files = licence_files(package)
        if not files:
            bare.append((name, licence(package), package["repository"]))
        for path in files:
            text = path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n").strip()
            texts.setdefault(text, []).append(f"{name} ({path.relative_to(top).as_posix()})")
    lines = ["csv-to-kafka contains the following software.", "", *overview, ""]
    if bare:
        lines += ["These come without a file of their licence, which is the one named above:", ""]
        lines += [f"{name}: {said}, {where}" for name, said, where in bare] + [""]
    rule = "=" * 80
    for text, names in sorted(texts.items(), key=lambda item: item[1]):
        lines += [rule, *names, rule, "", text, ""]
    return "\n".join(lines)


def main():
    root, rust, commit, out = Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4])
    packages, uses, product = {}, {}, None
    for target in TARGETS:
        graph = metadata(root, rust, target)
        product = graph["resolve"]["root"]
        packages |= {package["id"]: package for package in graph["packages"]}
        for package, its in linked(graph).items():
            uses.setdefault(package, set()).update(its)
    lock = tomllib.loads((root / "Cargo.lock").read_text())
    checksums = {(entry["name"], entry["version"]): entry.get("checksum") for entry in lock["package"]}
    document = sbom(packages, uses, product, checksums, commit)
    (out / "sbom.cdx.json").write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    parts = sorted((packages[id] for id in uses if id != product), key=reference)
    unlicensed = [package["name"] for package in parts if not package["license"]]
    if unlicensed:
        sys.exit(f"inventory: no licence is named by {', '.join(unlicensed)}")
    (out / "THIRD-PARTY-LICENSES.txt").write_text(third_party(parts))
    print(f"{len(parts)} dependencies in sbom.cdx.json and THIRD-PARTY-LICENSES.txt")


if __name__ == "__main__":
    main()
