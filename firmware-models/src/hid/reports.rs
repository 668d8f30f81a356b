//! The report descriptors, by the crate hidreport (HID 1.11 §6.2.2). Tests have it read them again, with the reports.

use hidreport::{
    hid::{
        CollectionItem, GlobalItem, ItemBuilder, ReportDescriptorBuilder,
        ReportDescriptorBuilderState,
    },
    types::{
        LogicalMaximum, LogicalMinimum, PhysicalMaximum, PhysicalMinimum, ReportCount, ReportSize,
        Unit, UnitExponent, Units, UsageMaximum, UsageMinimum,
    },
};
use hut::{Consumer, GenericDesktop, UsagePage};

use super::Key;

type Builder<S> = ReportDescriptorBuilder<S>;

/// Fields of that many bits each, with values in a range.
fn fields<S: ReportDescriptorBuilderState>(
    builder: Builder<S>,
    count: usize,
    bits: usize,
    range: std::ops::RangeInclusive<i32>,
) -> Builder<S> {
    builder
        .append(LogicalMinimum::from(*range.start()).into())
        .append(LogicalMaximum::from(*range.end()).into())
        .append(ReportSize::from(bits).into())
        .append(ReportCount::from(count).into())
}

fn usages<S: ReportDescriptorBuilderState>(
    builder: Builder<S>,
    range: std::ops::RangeInclusive<u32>,
) -> Builder<S> {
    builder
        .append(UsageMinimum::from(*range.start()).into())
        .append(UsageMaximum::from(*range.end()).into())
}

/// Input bits that mean nothing.
fn padding<S: ReportDescriptorBuilderState>(builder: Builder<S>, bits: usize) -> Builder<S> {
    builder
        .append(ReportSize::from(bits).into())
        .append(ReportCount::from(1).into())
        .input(ItemBuilder::new().constant().variable().input())
}

fn absolute<S: ReportDescriptorBuilderState>(builder: Builder<S>) -> Builder<S> {
    builder.input(ItemBuilder::new().variable().absolute().input())
}

fn relative<S: ReportDescriptorBuilderState>(builder: Builder<S>) -> Builder<S> {
    builder.input(ItemBuilder::new().variable().relative().input())
}

/// Buttons 1 to `count`, a bit each.
fn buttons<S: ReportDescriptorBuilderState>(builder: Builder<S>, count: u8) -> Builder<S> {
    let builder = usages(builder.usage_page(UsagePage::Button), 1..=count.into());
    absolute(fields(builder, count.into(), 1, 0..=1))
}

/// Modifiers, LEDs, six keys: the boot keyboard's (§B.1), with all keys that have numbers.
pub(super) fn keyboard() -> Vec<u8> {
    let last = Key::LAST;
    let builder = Builder::new()
        .usage_page(UsagePage::GenericDesktop)
        .usage_id(GenericDesktop::Keyboard)
        .open_collection(CollectionItem::Application)
        .usage_page(UsagePage::KeyboardKeypad);
    let builder = absolute(fields(usages(builder, 0xe0..=0xe7), 8, 1, 0..=1));
    let builder = padding(builder, 8).usage_page(UsagePage::LED);
    let builder = fields(usages(builder, 1..=5), 5, 1, 0..=1)
        .output(ItemBuilder::new().variable().absolute().output())
        .append(ReportSize::from(3).into())
        .append(ReportCount::from(1).into())
        .output(ItemBuilder::new().constant().variable().output())
        .usage_page(UsagePage::KeyboardKeypad);
    fields(usages(builder, 0..=last.into()), 6, 8, 0..=last.into())
        .input(ItemBuilder::new().array().absolute().input())
        .close_collection()
        .build()
}

/// Five buttons, motion, and wheels for both ways.
pub(super) fn mouse() -> Vec<u8> {
    let builder = Builder::new()
        .usage_page(UsagePage::GenericDesktop)
        .usage_id(GenericDesktop::Mouse)
        .open_collection(CollectionItem::Application)
        .usage_id(GenericDesktop::Pointer)
        .open_collection(CollectionItem::Physical);
    let builder = padding(buttons(builder, 5), 3)
        .usage_page(UsagePage::GenericDesktop)
        .usage_id(GenericDesktop::X)
        .usage_id(GenericDesktop::Y);
    let builder =
        relative(fields(builder, 2, 16, -0x7fff..=0x7fff)).usage_id(GenericDesktop::Wheel);
    let builder = relative(fields(builder, 1, 8, -0x7f..=0x7f))
        .usage_page(UsagePage::Consumer)
        .usage_id(Consumer::ACPan);
    relative(builder)
        .close_collection()
        .close_collection()
        .build()
}

/// Three buttons, a position, and a wheel.
pub(super) fn tablet() -> Vec<u8> {
    let builder = Builder::new()
        .usage_page(UsagePage::GenericDesktop)
        .usage_id(GenericDesktop::Mouse)
        .open_collection(CollectionItem::Application)
        .usage_id(GenericDesktop::Pointer)
        .open_collection(CollectionItem::Physical);
    let builder = padding(buttons(builder, 3), 5)
        .usage_page(UsagePage::GenericDesktop)
        .usage_id(GenericDesktop::X)
        .usage_id(GenericDesktop::Y);
    let builder = absolute(fields(builder, 2, 16, 0..=0x7fff)).usage_id(GenericDesktop::Wheel);
    relative(fields(builder, 1, 8, -0x7f..=0x7f))
        .close_collection()
        .close_collection()
        .build()
}

/// Sixteen buttons, a hat, two sticks, two triggers.
pub(super) fn gamepad() -> Vec<u8> {
    let builder = Builder::new()
        .usage_page(UsagePage::GenericDesktop)
        .usage_id(GenericDesktop::Gamepad)
        .open_collection(CollectionItem::Application);
    let degrees = u32::from(Units::Degrees { exponent: 1 });
    let builder = buttons(builder, 16)
        .usage_page(UsagePage::GenericDesktop)
        .usage_id(GenericDesktop::HatSwitch)
        .append(PhysicalMinimum::from(0).into())
        .append(PhysicalMaximum::from(315).into())
        .append(GlobalItem::Unit(Unit::from(degrees)).into());
    let builder = fields(builder, 1, 4, 0..=7)
        .input(ItemBuilder::new().variable().absolute().null().input())
        .append(PhysicalMaximum::from(0).into())
        .append(GlobalItem::Unit(Unit::from(0)).into())
        .append(UnitExponent::from(0).into());
    let builder = padding(builder, 4)
        .usage_id(GenericDesktop::X)
        .usage_id(GenericDesktop::Y)
        .usage_id(GenericDesktop::Rx)
        .usage_id(GenericDesktop::Ry);
    let builder = absolute(fields(builder, 4, 16, -0x7fff..=0x7fff))
        .usage_id(GenericDesktop::Z)
        .usage_id(GenericDesktop::Rz);
    absolute(fields(builder, 2, 8, 0..=0xff))
        .close_collection()
        .build()
}
