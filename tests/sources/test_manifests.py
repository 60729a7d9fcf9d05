"""The manifest source on a real folder, in the real reactor."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from skydns_py.cluster.objects import Kind, Ref, Removal, Service, Upsert
from skydns_py.errors import ConfigError
from skydns_py.sources.manifests import CHUNK, ManifestSource, Shelf
from tests.reactor import run_in_reactor
from tests.sources.recording import Recorder

POLL_SECONDS = 0.02
WEB = Ref(Kind.SERVICE, "shop", "web")
API = Ref(Kind.SERVICE, "shop", "api")


def service(name: str, address: str = "10.0.0.1", namespace: str = "shop") -> str:
    return (
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec: {{clusterIP: {address}, ports: [{{port: 80}}]}}\n"
    )


def write(file: Path, text: str) -> None:
    """Put it there in one step, and long ago, so that the source need not wait for more of it."""
    draft = file.with_name(f".{file.name}")
    draft.write_text(text)
    os.utime(draft, (1e9, 1e9))
    draft.rename(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    demo = tmp_path / "demo"
    demo.mkdir()
    return demo


@pytest.fixture
def sink() -> Recorder:
    return Recorder()


@pytest.fixture
def source(folder: Path, sink: Recorder) -> Iterator[ManifestSource]:
    """Not started, so that the test can fill the folder first."""
    source = ManifestSource(str(folder), sink, reactor, POLL_SECONDS)
    yield source
    run_in_reactor(source.stop)


def started(source: ManifestSource, sink: Recorder) -> int:
    run_in_reactor(source.start)
    sink.wait_call("synced")
    return sink.mark()


def test_a_path_that_is_not_there_at_start_is_a_configuration_error(tmp_path: Path, sink: Recorder) -> None:
    with pytest.raises(
        ConfigError, match=r"gone: no such file or folder; name one with \.yaml, \.yml, \.json"
    ):
        ManifestSource(str(tmp_path / "gone"), sink, reactor)


def test_all_manifests_below_the_folder_are_told_before_synced(
    folder: Path, source: ManifestSource, sink: Recorder
) -> None:
    (folder / "deep" / "er").mkdir(parents=True)
    write(folder / "a.yaml", service("a") + "---\n" + service("b"))
    write(folder / "deep" / "c.yml", service("c"))
    write(folder / "deep" / "er" / "d.json", '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"d"}}')
    write(folder / ".hidden.yaml", service("hidden"))
    write(folder / "notes.txt", service("notes"))
    started(source, sink)
    assert {str(ref) for ref in sink.state} == {
        *("Service shop/a", "Service shop/b", "Service shop/c", "Namespace d")
    }
    assert sink.calls[-1] == ("synced",)


def test_a_single_file_is_followed_whatever_its_name(tmp_path: Path, sink: Recorder) -> None:
    file = tmp_path / "services"
    write(file, service("web"))
    source = ManifestSource(str(file), sink, reactor, POLL_SECONDS)
    started(source, sink)
    write(file, service("web", "10.0.0.2"))
    sink.wait(lambda s: s.state[WEB].addresses == (bytes((10, 0, 0, 2)),))
    run_in_reactor(source.stop)


def test_a_change_tells_only_the_difference(folder: Path, source: ManifestSource, sink: Recorder) -> None:
    write(folder / "a.yaml", service("a") + "---\n" + service("web") + "---\n" + service("c"))
    mark = started(source, sink)
    write(folder / "a.yaml", service("a") + "---\n" + service("web", "10.0.0.9") + "---\n" + service("new"))
    sink.wait(lambda s: Ref(Kind.SERVICE, "shop", "c") not in s.state)
    changed = [call[1].ref if call[0] == "upsert" else call[1] for call in sink.since(mark)]
    assert changed == [WEB, Ref(Kind.SERVICE, "shop", "new"), Ref(Kind.SERVICE, "shop", "c")]


def test_a_file_that_is_written_in_place_is_read_once_it_has_settled(
    folder: Path, source: ManifestSource, sink: Recorder
) -> None:
    started(source, sink)
    (folder / "a.yaml").write_text(service("web"))
    sink.wait(lambda s: WEB in s.state)


def test_a_deleted_file_takes_its_objects_along(folder: Path, source: ManifestSource, sink: Recorder) -> None:
    write(folder / "a.yaml", service("web"))
    write(folder / "b.yaml", service("api"))
    started(source, sink)
    (folder / "a.yaml").unlink()
    sink.wait(lambda s: set(s.state) == {API})


def test_a_file_that_stops_parsing_keeps_its_content_and_is_refused_once_with_its_line(
    folder: Path, source: ManifestSource, sink: Recorder
) -> None:
    write(folder / "web.yaml", service("web"))
    started(source, sink)
    write(folder / "web.yaml", service("web") + "---\nkind: [\n")
    refusals = sink.wait_call("refused")
    write(folder / "other.yaml", service("api"))
    sink.wait(lambda s: API in s.state)
    assert WEB in sink.state
    assert sink.named("refused") == refusals
    [(where, reason)] = refusals
    assert where == f"{folder}/web.yaml:7"
    assert reason.startswith("is not YAML: ")


def test_a_bad_document_is_refused_alone_with_document_and_field(
    folder: Path, source: ManifestSource, sink: Recorder
) -> None:
    write(folder / "web.yaml", service("api") + "---\n" + service("bad", "10.0.0") + "---\n" + service("web"))
    started(source, sink)
    assert set(sink.state) == {API, WEB}
    [(where, reason)] = sink.named("refused")
    assert where == f"{folder}/web.yaml:6 (document 2)"
    assert reason.startswith("spec.clusterIP: ")


def test_a_bad_document_keeps_the_object_it_held_before(
    folder: Path, source: ManifestSource, sink: Recorder
) -> None:
    write(folder / "web.yaml", service("web"))
    mark = started(source, sink)
    write(folder / "web.yaml", service("web", "10.0.0") + "---\n" + service("api"))
    sink.wait(lambda s: API in s.state and s.named("refused"))
    assert [call for call in sink.since(mark) if call[0] == "removal"] == []
    write(folder / "web.yaml", service("api"))
    sink.wait(lambda s: set(s.state) == {API})


def test_a_bad_item_of_a_list_is_refused_alone_and_keeps_its_object(
    folder: Path, source: ManifestSource, sink: Recorder
) -> None:
    item = "{{metadata: {{name: {}, namespace: shop}}, spec: {{clusterIP: {}, ports: [{{port: 80}}]}}}}"
    items = item.format("api", "10.0.0.1") + ", " + item.format("web", "10.0.0.2")
    text = f"apiVersion: v1\nkind: ServiceList\nitems: [{items}]\n"
    write(folder / "list.yaml", text)
    mark = started(source, sink)
    assert set(sink.state) == {API, WEB}
    write(folder / "list.yaml", text.replace("10.0.0.2", "nowhere").replace("10.0.0.1", "10.0.0.7"))
    [(where, reason)] = sink.wait_call("refused")
    assert where == f"{folder}/list.yaml:1 (document 1)"
    assert reason.startswith("items[1].spec.clusterIP: ")
    assert [call[0] for call in sink.since(mark)] == ["upsert", "refused"]


def test_the_first_of_two_files_with_one_object_counts_and_the_other_is_refused_naming_both(
    folder: Path, source: ManifestSource, sink: Recorder
) -> None:
    write(folder / "b.yaml", service("web", "10.0.0.2"))
    write(folder / "a.yaml", service("web", "10.0.0.1"))
    started(source, sink)
    assert isinstance(web := sink.state[WEB], Service)
    assert web.addresses == (bytes((10, 0, 0, 1)),)
    first, second = f"{folder}/a.yaml:1 (document 1)", f"{folder}/b.yaml:1 (document 1)"
    assert sink.named("refused") == [(second, f"Service shop/web is already in {first}; keep one")]
    (folder / "a.yaml").unlink()
    sink.wait(lambda s: s.state[WEB].addresses == (bytes((10, 0, 0, 2)),))


def test_a_folder_that_disappears_keeps_what_is_known_until_it_is_back(
    folder: Path, source: ManifestSource, sink: Recorder
) -> None:
    write(folder / "web.yaml", service("web"))
    started(source, sink)
    folder.rename(folder.with_name("away"))
    [(reason,)] = sink.wait_call("lost")
    assert reason == f"{folder}: No such file or directory; keeping what it held"
    assert WEB in sink.state
    folder.mkdir()
    sink.wait_call("synced", 2)
    assert sink.state == {}
    assert len(sink.named("lost")) == 1


def test_a_configmap_volume_is_followed_through_its_symlink(
    folder: Path, source: ManifestSource, sink: Recorder
) -> None:
    for version, address in (("..1", "10.0.0.1"), ("..2", "10.0.0.2")):
        (folder / version).mkdir()
        write(folder / version / "web.yaml", service("web", address))
    (folder / "..data").symlink_to("..1")
    (folder / "web.yaml").symlink_to("..data/web.yaml")
    started(source, sink)
    assert len(sink.named("upsert")) == 1
    (folder / "..new").symlink_to("..2")
    (folder / "..new").rename(folder / "..data")
    sink.wait(lambda s: s.state[WEB].addresses == (bytes((10, 0, 0, 2)),))
    assert not sink.named("refused")


def test_symlinks_that_lead_round_in_circles_or_nowhere_do_no_harm(
    folder: Path, source: ManifestSource, sink: Recorder
) -> None:
    write(folder / "web.yaml", service("web"))
    (folder / "loop").symlink_to(".")
    (folder / "dangling.yaml").symlink_to("nowhere")
    os.mkfifo(folder / "fifo.yaml")
    started(source, sink)
    assert set(sink.state) == {WEB}
    assert not sink.named("refused")


def test_a_large_folder_is_told_in_chunks_in_order(
    folder: Path, source: ManifestSource, sink: Recorder
) -> None:
    names = [f"s{number}" for number in range(3 * CHUNK)]
    write(folder / "all.yaml", "---\n".join(service(name) for name in names))
    started(source, sink)
    assert [obj.name for (obj,) in sink.named("upsert")] == names
    assert sink.largest == CHUNK


class Watched:
    """The reactor, and word of each call that a thread has handed to it."""

    def __init__(self) -> None:
        self.called = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def callFromThread(self, function: Callable[[], object]) -> None:  # noqa: N802 -- Twisted's name
        reactor.callFromThread(function)
        self.called.set()


def test_nothing_is_told_after_stop(folder: Path, sink: Recorder) -> None:
    write(folder / "web.yaml", service("web"))
    watched = Watched()
    source = ManifestSource(str(folder), sink, watched, POLL_SECONDS)

    def start_and_stop() -> None:
        source.start()
        source.stop()

    run_in_reactor(start_and_stop)
    assert watched.called.wait(30)
    run_in_reactor(lambda: None)
    assert sink.calls == []


def test_a_stop_from_within_the_sink_ends_the_telling(folder: Path) -> None:
    write(folder / "all.yaml", "---\n".join(service(f"s{number}") for number in range(2 * CHUNK)))
    sink = Recorder()
    source = ManifestSource(str(folder), sink, reactor, POLL_SECONDS)
    apply = sink.apply
    sink.apply = lambda events: (apply(events), source.stop())  # type: ignore[assignment,method-assign]
    run_in_reactor(source.start)
    sink.wait(lambda s: s.named("upsert"))
    run_in_reactor(lambda: None)
    assert [call[0] for call in sink.calls] == ["upsert"] * CHUNK


def test_a_look_at_unchanged_files_reads_none_of_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "web.yaml", service("web"))
    shelf = Shelf(str(folder))
    [event] = shelf.look().events
    assert isinstance(event, Upsert)
    monkeypatch.setattr("builtins.open", None)
    assert shelf.look().events == ()


def test_a_file_that_is_still_being_written_is_not_taken_for_whole(folder: Path) -> None:
    shelf = Shelf(str(folder))
    write(folder / "web.yaml", service("web") + "---\n" + service("api"))
    assert len(shelf.look().events) == 2
    (folder / "web.yaml").write_text(service("web"))
    look = shelf.look()
    assert look.unsettled
    assert look.events == ()
    os.utime(folder / "web.yaml", (1e9, 1e9))
    assert shelf.look().events == [Removal(API)]


def test_an_unreadable_file_keeps_its_content(folder: Path) -> None:
    write(folder / "web.yaml", service("web"))
    shelf = Shelf(str(folder))
    shelf.look()
    write(folder / "web.yaml", "x" * (16 * 2**20 + 1))
    look = shelf.look()
    assert look.events == []
    assert look.refusals == [(f"{folder}/web.yaml", "is larger than 16 MiB; split it")]


def test_a_subfolder_that_disappears_takes_its_objects_along(folder: Path) -> None:
    (folder / "deep").mkdir()
    write(folder / "deep" / "web.yaml", service("web"))
    shelf = Shelf(str(folder))
    shelf.look()
    shutil.rmtree(folder / "deep")
    assert shelf.look().events == [Removal(WEB)]
