//! What a backend lacks is refused as it says: checked, not taken on trust.

use anyhow::{Context as _, Result, bail, ensure};
use usbwright::{
    protocol::{EndpointAddress, Status},
    target::{
        Completion, ConfigurationError, In, Interrupt, Isochronous, PipePolicy, SettingError,
    },
};

use super::{
    Subject,
    ability::{Ability, Refusal, Unsupported},
    checks::{
        Check, fate,
        settings::{INTERRUPT, ISOCHRONOUS},
    },
    data::noise,
    subject::{Done as _, LOOPBACK, request},
};

/// How long a read waits for what may not come.
const TIMEOUT: std::time::Duration = std::time::Duration::from_millis(300);

/// The check that an ability is truly lacking.
pub(super) fn of(lack: Unsupported) -> Check {
    macro_rules! check {
        ($name:literal, $run:path) => {
            Check {
                name: $name,
                needs: &[],
                run: |subject| Box::pin(async move { $run(&subject).await }),
            }
        };
    }
    if lack.refusal == Refusal::OutOfReach {
        return check!("is not tested where nothing can be seen", out_of_reach);
    }
    match lack.ability {
        Ability::ControlData => check!("refuses control data", control_data),
        Ability::ControlStall => check!("tells refused requests otherwise", control_stall),
        Ability::Halts => check!("has no halts", halts),
        Ability::Loopback => check!("has no loopback", loopback),
        Ability::ZeroLength => check!("loses zero-length packets", zero_length),
        Ability::Overflow => check!("tells no overflow", overflow),
        Ability::PartialData => check!("drops what is taken back", partial_data),
        Ability::Interrupt => check!("refuses interrupt transfers", interrupt),
        Ability::Isochronous => check!("refuses isochronous transfers", isochronous),
        Ability::Unconfigure => check!("stays configured", unconfigure),
        Ability::BusReset => check!("is not reached by a reset", bus_reset),
        Ability::Unplug => check!("can't be unplugged by the test", out_of_reach),
    }
}

fn declared(subject: &Subject, ability: Ability) -> Result<Refusal> {
    let refusal = subject.backend().refusal(ability);
    refusal.context("it is not declared")
}

/// Compares how a transfer ended with what is declared.
fn compare(subject: &Subject, ability: Ability, ended: &Completion) -> Result<()> {
    match declared(subject, ability)? {
        Refusal::Ends(status) => ensure!(ended.ended(status), "not {status:?}: {ended:?}"),
        Refusal::Ignored => ensure!(ended.ended(Status::Done), "{ended:?}"),
        other => bail!("{other:?}, but a transfer ended: {ended:?}"),
    }
    Ok(())
}

async fn control_data(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    let read = request(&ends.device, [0xc0, 0x5c, 0, 0, 0, 0, 16, 0]).await;
    compare(subject, Ability::ControlData, &read)
}

async fn control_stall(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    let refused = request(&ends.device, [0xc0, 0x77, 0, 0, 0, 0, 64, 0]).await;
    compare(subject, Ability::ControlStall, &refused)
}

async fn halts(subject: &Subject) -> Result<()> {
    let ends = subject.source_sink().await?;
    let endpoint: EndpointAddress = ends.input.address();
    let set = request(&ends.device, [2, 3, 0, 0, endpoint.byte(), 0, 0, 0]).await;
    compare(subject, Ability::Halts, &set)?;
    let told = request(&ends.device, [0x82, 0, 0, 0, endpoint.byte(), 0, 2, 0]).await;
    ensure!(told.ok()?.data == [0, 0][..], "it is halted");
    ends.input.read(512).await.done()?;
    Ok(())
}

async fn loopback(subject: &Subject) -> Result<()> {
    let refused = subject.open().set_configuration(LOOPBACK).await;
    match (declared(subject, Ability::Loopback)?, &refused) {
        (
            Refusal::NotDescribed,
            Err(ConfigurationError::Unknown {
                value: LOOPBACK, ..
            }),
        ) => Ok(()),
        (declared, _) => bail!("{declared:?}, but: {refused:?}"),
    }
}

async fn zero_length(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    ends.output.write_terminated(noise(1, 1024)).await.done()?;
    ends.input.set_policy(PipePolicy {
        transfer_timeout: Some(TIMEOUT),
        ..ends.input.policy()
    })?;
    let read = ends.input.read(64 * 1024).await;
    compare(subject, Ability::ZeroLength, &read)
}

async fn overflow(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    ends.output.write(noise(8, 60)).await.done()?;
    let mut queue = ends.input.queue();
    queue.read(7)?;
    let (_, read) = queue.next().await.context("it ended early")?;
    compare(subject, Ability::Overflow, &read)
}

async fn partial_data(subject: &Subject) -> Result<()> {
    let ends = subject.loopback().await?;
    let (first, second) = (noise(9, 4096), noise(10, 11));
    ends.output.write(first).await.done()?;
    ends.input.set_policy(PipePolicy {
        transfer_timeout: Some(TIMEOUT),
        ..ends.input.policy()
    })?;
    let read = ends.input.read(16_384).await;
    ensure!(read.ended(Status::TimedOut) && read.length == 0, "{read:?}");
    ends.output.write(second.clone()).await.done()?;
    let read = ends.input.read(16_384).await;
    compare(subject, Ability::PartialData, &read)?;
    ensure!(read.data == second[..], "nothing was lost: {read:?}");
    Ok(())
}

/// Whether a setting is refused, as it is not described.
async fn not_described(subject: &Subject, ability: Ability, alternate: u8) -> Result<()> {
    let ends = subject.source_sink().await?;
    let refused = ends.interface.set_alternate(alternate).await;
    match (declared(subject, ability)?, &refused) {
        (Refusal::NotDescribed, Err(SettingError::Unknown { .. })) => Ok(()),
        (declared, _) => bail!("{declared:?}, but: {refused:?}"),
    }
}

async fn interrupt(subject: &Subject) -> Result<()> {
    let ability = Ability::Interrupt;
    if declared(subject, ability)? == Refusal::NotDescribed {
        return not_described(subject, ability, INTERRUPT).await;
    }
    let ends = subject.source_sink().await?;
    ends.interface.set_alternate(INTERRUPT).await?;
    let read = ends.interface.first::<Interrupt, In>()?.read(64).await;
    compare(subject, ability, &read)
}

async fn isochronous(subject: &Subject) -> Result<()> {
    let ability = Ability::Isochronous;
    if declared(subject, ability)? == Refusal::NotDescribed {
        return not_described(subject, ability, ISOCHRONOUS).await;
    }
    let ends = subject.source_sink().await?;
    ends.interface.set_alternate(ISOCHRONOUS).await?;
    let read = ends.interface.first::<Isochronous, In>()?.receive(4).await;
    compare(subject, ability, &read)
}

async fn unconfigure(subject: &Subject) -> Result<()> {
    let device = subject.open();
    let taken = device.set_configuration(0).await;
    match (declared(subject, Ability::Unconfigure)?, &taken) {
        (Refusal::Ignored, Ok(())) => {
            let told = request(&device, [0x80, 8, 0, 0, 0, 0, 1, 0]).await.ok()?;
            ensure!(told.data != [0][..], "it has no configuration now");
            Ok(())
        }
        (Refusal::Ends(status), Err(ConfigurationError::Refused(failed))) => {
            ensure!(failed.error.status() == Some(status), "{failed:?}");
            Ok(())
        }
        (declared, _) => bail!("{declared:?}, but: {taken:?}"),
    }
}

async fn bus_reset(subject: &Subject) -> Result<()> {
    ensure!(declared(subject, Ability::BusReset)? == Refusal::Ignored);
    if subject.backend().has(Ability::ControlData) {
        let emptied = fate::reset_empties_the_buffer(subject).await?;
        ensure!(!emptied, "the device was reset");
    }
    Ok(())
}

/// Whether there is a reason that what is not tested can't be.
async fn out_of_reach(subject: &Subject) -> Result<()> {
    let backend = subject.backend();
    for lack in backend
        .lacks
        .iter()
        .filter(|it| it.refusal == Refusal::OutOfReach)
    {
        let can_be = match lack.ability {
            Ability::Unplug => subject.can_unplug(),
            Ability::ZeroLength | Ability::Overflow | Ability::PartialData => {
                backend.has(Ability::Loopback)
            }
            // The kernel's gadget has its descriptors in the buffer that would tell.
            Ability::BusReset => !backend.has(Ability::ControlData),
            _ => true,
        };
        ensure!(!can_be, "{lack:?} can be tested");
    }
    Ok(())
}
