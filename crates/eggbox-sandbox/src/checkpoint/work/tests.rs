use super::head::WORD_BYTES;
use super::layout::USUAL_BYTES_MAX;
use super::*;
use crate::checkpoint::maps::Identity;
use crate::checkpoint::{Place, SHOWN_BYTES_MIN};

#[test]
fn what_is_taken_is_not_in_the_rest() {
    assert_eq!(subtract(&(10..20), &[0..5, 13..14, 25..30]), [10..13, 14..20]);
    assert_eq!(subtract(&(10..20), &[5..12, 14..16, 19..25]), [12..14, 16..19]);
    assert_eq!(subtract(&(10..20), &[5..25, 30..40]), []);
}

const PAGE: u64 = 4096;

fn mapping(pages: Range<u64>, source: Source) -> Mapping {
    let protection = Protection { may_read: true, may_write: true, may_execute: false };
    Mapping { range: pages.start * PAGE..pages.end * PAGE, protection, source }
}

fn layout(mappings: Vec<Mapping>, written: &[Range<u64>]) -> Layout {
    let own = |mapping: Mapping| (mapping.range.clone(), Found::Private { mapping, is_whole: false });
    let written = written.iter().map(|pages| pages.start * PAGE..pages.end * PAGE).collect();
    Layout { mappings: mappings.into_iter().map(own).collect(), pages: 77, written }
}

/// The words of a table, by its place among those of a head.
fn table(encoded: &[u8], number: usize, words_each: usize) -> Vec<Vec<u64>> {
    let words: Vec<u64> = encoded.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let [first, count] = [9 + 2 * number, 10 + 2 * number].map(|at| usize::try_from(words[at]).unwrap());
    let first = first / WORD_BYTES;
    words[first..first + count * words_each].chunks(words_each).map(<[u64]>::to_vec).collect()
}

#[test]
fn the_work_is_what_the_image_has_and_the_session_has_not() {
    let base = || mapping(1..9, Source::Base { offset: 16 * PAGE });
    let (stack, kernels) = (|start| mapping(start..9000, Source::Stack), || mapping(40..41, Source::Kernels));
    let identity = Identity { device: (1, 2), inode: 3 };
    let file = mapping(30..32, Source::File { path: b"/lib/a.so".to_vec(), identity, offset: PAGE });
    let run = |pages: Range<u64>, place| Run {
        range: pages.start * PAGE..pages.end * PAGE,
        content: Content::At(place * PAGE),
    };
    let place = Place { stack: 1, program_break: 99 * PAGE, thread_pointer: 2, descriptors: 3 };
    let mappings = vec![base(), file.clone(), kernels(), stack(8992)];
    let image = Image { place, mappings, runs: vec![run(5..7, 1), run(8998..8999, 3)] };
    let gone = mapping(20..24, Source::Nothing);
    // On the second page, on one that the image has, too, and on some that go.
    let layout = layout(vec![base(), gone, kernels(), stack(8990)], &[2..3, 5..6, 20..22]);
    let given = |has_its_base| Given { shown: 1, shown_bytes_min: SHOWN_BYTES_MIN, has_its_base, is_coming: false };
    let encoded = |given| {
        check_place(&image, &layout).unwrap();
        let mut worker = Worker::new(&image, given);
        worker.plan(&layout);
        worker.encode(&layout).unwrap()
    };
    let of_nest = encoded(given(true));
    let cleared = [[PAGE, 5 * PAGE], [7 * PAGE, 9 * PAGE]];
    assert_eq!(table(&of_nest, 0, 2), cleared);
    // Its second page is had from the base again, which is the eighteenth there.
    assert_eq!(table(&of_nest, 1, 2), Vec::<Vec<u64>>::new());
    assert_eq!(table(&of_nest, 3, 4), [[IMAGE, PAGE, 0, 2], [BASE, 17 * PAGE, 2, 1]]);
    assert_eq!(table(&of_nest, 4, 2), [[5 * PAGE, 2 * PAGE], [8998 * PAGE, PAGE], [2 * PAGE, PAGE]]);
    let calls = |encoded: &[u8]| {
        let steps = table(encoded, 2, 7).into_iter();
        steps.map(|step| (i64::try_from(step[0]).unwrap(), step[1] / PAGE, step[2] / PAGE)).collect::<Vec<_>>()
    };
    let [brk, munmap, mmap] = [libc::SYS_brk, libc::SYS_munmap, libc::SYS_mmap];
    assert_eq!(calls(&of_nest), [(brk, 99, 0), (munmap, 20, 4), (brk, 99, 0), (mmap, 30, 2)]);
    // The file behind the image, the base and the other image.
    assert_eq!(table(&of_nest, 2, 7)[3][5], 3);
    assert_eq!(table(&of_nest, 6, FILE_WORDS), [[9, 1 << 32 | 2, 3]]);
    assert_eq!(table(&of_nest, 7, 1).len(), 4);
    assert!(of_nest.windows(9).any(|bytes| bytes == b"/lib/a.so"));
    // Of another nest's base everything is mapped.
    let of_other = encoded(given(false));
    assert_eq!((table(&of_other, 0, 2).len(), calls(&of_other)[3]), (0, (mmap, 1, 8)));
    // What no step can change.
    let elsewhere = Image { mappings: vec![base(), stack(8992)], ..image.clone() };
    assert!(work(&elsewhere, &layout, given(true)).unwrap_err().to_string().starts_with("the kernel's own pages"));
    let without =
        Image { mappings: vec![mapping(1..2, Source::Image { file: 1, offset: 0 }), kernels(), stack(8992)], ..image };
    assert!(work(&without, &layout, given(true)).unwrap_err().to_string().contains("is not there"));
}

#[test]
fn what_is_common_is_in_both() {
    let ranges = [0..5, 15..17, 18..35, 38..60, 70..80];
    let found = |start, end| common(&Span { start, end }, &ranges).collect::<Vec<_>>();
    assert_eq!(found(10, 20), [15..17, 18..20]);
    assert_eq!(found(30, 40), [30..35, 38..40]);
    assert_eq!(found(60, 70), []);
}

#[test]
fn what_is_usual_is_missing_where_it_is_of_the_base_and_not_written_to() {
    let (base, nothing) = (|| mapping(1..9, Source::Base { offset: 0 }), || mapping(20..24, Source::Nothing));
    let protection = Protection { may_write: false, ..base().protection };
    let closed = || Mapping { protection, ..mapping(10..12, Source::Base { offset: 8 * PAGE }) };
    let mappings = || vec![base(), closed(), nothing()];
    let run = |pages: Range<u64>, content| Run { range: pages.start * PAGE..pages.end * PAGE, content };
    let at = Content::At(PAGE);
    let runs = vec![run(2..4, at), run(5..7, Content::Zero), run(8..9, at), run(10..11, at), run(20..22, at)];
    let place = Place { stack: 1, program_break: 2, thread_pointer: 3, descriptors: 4 };
    let usual = UsualPages::of(&Image { place, mappings: mappings(), runs });
    // It has written to the third page already, and may not write to the tenth.
    let missing = layout(mappings(), &[3..4, 6..7]).missing(&usual);
    assert_eq!(missing, [2 * PAGE..3 * PAGE, 8 * PAGE..9 * PAGE]);
    // As large a part of the base as this is nobody given in vain.
    let large = vec![run(1..1 + USUAL_BYTES_MAX / PAGE + 1, at)];
    let mappings = vec![mapping(1..1 + USUAL_BYTES_MAX / PAGE + 1, Source::Base { offset: 0 })];
    assert!(UsualPages::of(&Image { place, mappings, runs: large }).0.is_empty());
}
