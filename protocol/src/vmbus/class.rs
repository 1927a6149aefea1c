// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Classes of devices (`HV_*_GUID` of `include/linux/hyperv.h`).

use super::Guid;

/// What is known of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its GUID.
    pub guid: Guid,
    /// A short name, for logs.
    pub name: &'static str,
    /// Whether Linux spreads its channels over processors (`vmbus_devs` of `drivers/hv/channel_mgmt.c`).
    pub is_fast: bool,
    /// Whether Linux takes it where the guest's memory is isolated from the host.
    pub in_isolation: bool,
}

/// Builds the table of classes and a constant for each.
macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident = $guid:literal, $text:literal $(, $flag:ident)*;)*) => {
        $(
            $(#[$doc])*
            pub const $name: Guid = Guid::from_u128($guid);
        )*

        /// All classes that are known.
        pub const ALL: &[Class] = &[
            $({
                #[allow(unused_mut, reason = "many have no flag")]
                let mut class = Class {
                    guid: $name,
                    name: $text,
                    is_fast: false,
                    in_isolation: false,
                };
                $(class.$flag = true;)*
                class
            },)*
        ];
    };
}

classes! {
    /// An IDE disk.
    IDE = 0x32412632_86cb_44a2_9b5c_50d1417354f5, "IDE", is_fast;
    /// A SCSI controller.
    SCSI = 0xba6163d9_04a1_4d29_b605_72e2ffb1dc7f, "SCSI", is_fast, in_isolation;
    /// A Fibre Channel controller.
    FIBRE_CHANNEL = 0x2f9bcc4a_0069_4af3_b76b_6fd0be528cda, "Fibre Channel", is_fast;
    /// A network adapter.
    NETWORK = 0xf8615163_df3e_46c5_913f_f2d2f965ed0e, "network", is_fast, in_isolation;
    /// Remote direct memory access.
    NETWORK_DIRECT = 0x8c2eaf3d_32a7_4b09_ab99_bd1f1c86b501, "network direct", is_fast;
    /// A PCI bus with devices of the host's.
    PCI = 0x44c4f61d_4444_4400_9d52_802e27ede19f, "PCI", in_isolation;
    /// A frame buffer.
    VIDEO = 0xda0a7802_e377_4aac_8e77_0558eb1073f8, "video";
    /// A keyboard.
    KEYBOARD = 0xf912ad6d_2b17_48ea_bd65_f927a61c7684, "keyboard";
    /// A mouse.
    MOUSE = 0xcfa8b69e_5b4a_4cc0_b98b_8ba1a1f3f95a, "mouse";
    /// Key-value pairs.
    KEY_VALUE = 0xa9a0f4e7_5a45_4d96_b827_8a841e8c03e6, "key-value pairs";
    /// Time synchronisation.
    TIME = 0x9527e630_d0ae_497b_adce_e80ab0175caf, "time", in_isolation;
    /// A heartbeat.
    HEARTBEAT = 0x57164f39_9115_4e78_ab55_382f3bd5422d, "heartbeat", in_isolation;
    /// Shutdown from outside.
    SHUTDOWN = 0x0e0b6031_5213_4934_818b_38d90ced39db, "shutdown", in_isolation;
    /// Copying files into the guest.
    FILE_COPY = 0x34d14be3_dee4_41c8_9ae7_6b174977c192, "file copy";
    /// Backup of a running guest (VSS).
    BACKUP = 0x35fa2e29_ea23_4236_96ae_3a6ebacba440, "backup";
    /// Dynamic memory.
    MEMORY = 0x525074dc_8985_46e2_8057_a307dc18a502, "dynamic memory";
    /// Activation of Windows; Linux ignores it, as it does the next three.
    ACTIVATION_1 = 0xf8e65716_3cb3_4a06_9a60_1889c5cccab5, "activation 1";
    /// Activation of Windows.
    ACTIVATION_2 = 0x3375baf4_9e15_4b30_b765_67acb10d607b, "activation 2";
    /// Remote desktop.
    REMOTE_DESKTOP = 0x276aacf4_ac15_426c_98dd_7521ad3f01fe, "remote desktop";
    /// Initial configuration of Windows.
    INITIAL_CONFIGURATION = 0xc376c1c3_d276_48d2_90a9_c04748072c60, "initial configuration";
}

/// What is known of the class with this GUID.
pub fn find(guid: Guid) -> Option<&'static Class> {
    ALL.iter().find(|class| class.guid == guid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_header() {
        let text = "ba6163d9-04a1-4d29-b605-72e2ffb1dc7f";
        assert_eq!(Guid::parse(text), Some(SCSI));
        let class = find(SCSI).unwrap();
        assert!(class.is_fast && class.in_isolation);
        assert_eq!(find(Guid::default()), None);
    }

    #[test]
    fn each_class_is_there_once() {
        for (at, class) in ALL.iter().enumerate() {
            let same = |other: &Class| other.guid == class.guid || other.name == class.name;
            assert_eq!(ALL.iter().position(same), Some(at));
        }
    }
}
