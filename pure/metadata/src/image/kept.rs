//! What Ottla does not act on yet, and keeps: ACLs, SCRAM credentials, client quotas, delegation tokens.
//!
//! A log that Kafka wrote may hold them. To refuse it would keep users out who never needed them; to drop them would lose
//! what Kafka is to find again. So each is kept as its record, behind what Kafka tells it by, and goes when a record
//! removes it. Whether a node may serve without acting on them is asked elsewhere: [`crate::takeover`].

use std::sync::Arc;

use imbl::OrdMap;
use ottla_base::Uuid;
use ottla_wire::records::{
    AccessControlEntryRecord, ClientQuotaRecord, DelegationTokenRecord, MetadataRecord, RemoveAccessControlEntryRecord,
    RemoveDelegationTokenRecord, RemoveUserScramCredentialRecord, UserScramCredentialRecord,
};

use crate::record::Record;

/// A record of what is kept.
#[derive(Clone, Debug, PartialEq)]
pub enum KeptRecord {
    Acl(AccessControlEntryRecord),
    RemoveAcl(RemoveAccessControlEntryRecord),
    ScramCredential(UserScramCredentialRecord),
    RemoveScramCredential(RemoveUserScramCredentialRecord),
    /// Also removes one.
    ClientQuota(ClientQuotaRecord),
    DelegationToken(DelegationTokenRecord),
    RemoveDelegationToken(RemoveDelegationTokenRecord),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    acls: OrdMap<Uuid, Arc<AccessControlEntryRecord>>,
    /// By user and mechanism.
    scram_credentials: OrdMap<(Arc<str>, i8), Arc<UserScramCredentialRecord>>,
    client_quotas: OrdMap<(QuotaEntity, Arc<str>), Arc<ClientQuotaRecord>>,
    /// By id.
    delegation_tokens: OrdMap<Arc<str>, Arc<DelegationTokenRecord>>,
}

/// Whom a quota is for: types and names, sorted, whatever their order in the record. Without a name it is the default.
type QuotaEntity = Vec<(Arc<str>, Option<Arc<str>>)>;

impl Kept {
    pub fn acls(&self) -> impl ExactSizeIterator<Item = &AccessControlEntryRecord> {
        self.acls.values().map(Arc::as_ref)
    }

    pub fn scram_credentials(&self) -> impl ExactSizeIterator<Item = &UserScramCredentialRecord> {
        self.scram_credentials.values().map(Arc::as_ref)
    }

    pub fn client_quotas(&self) -> impl ExactSizeIterator<Item = &ClientQuotaRecord> {
        self.client_quotas.values().map(Arc::as_ref)
    }

    pub fn delegation_tokens(&self) -> impl ExactSizeIterator<Item = &DelegationTokenRecord> {
        self.delegation_tokens.values().map(Arc::as_ref)
    }

    /// The removal of what is not there changes nothing.
    pub(super) fn change(&mut self, record: &KeptRecord) {
        match record {
            KeptRecord::Acl(acl) => _ = self.acls.insert(acl.id, Arc::new(acl.clone())),
            KeptRecord::RemoveAcl(removal) => _ = self.acls.remove(&removal.id),
            KeptRecord::ScramCredential(credential) => {
                let key = (credential.name.clone(), credential.mechanism);
                self.scram_credentials.insert(key, Arc::new(credential.clone()));
            }
            KeptRecord::RemoveScramCredential(removal) => {
                self.scram_credentials.remove(&(removal.name.clone(), removal.mechanism));
            }
            KeptRecord::ClientQuota(quota) => {
                let key = (entity_of(quota), quota.key.clone());
                match quota.remove {
                    true => self.client_quotas.remove(&key),
                    false => self.client_quotas.insert(key, Arc::new(quota.clone())),
                };
            }
            KeptRecord::DelegationToken(token) => {
                self.delegation_tokens.insert(token.token_id.clone(), Arc::new(token.clone()));
            }
            KeptRecord::RemoveDelegationToken(removal) => _ = self.delegation_tokens.remove(&removal.token_id),
        }
    }

    pub(super) fn quota_records(&self) -> impl Iterator<Item = Record> {
        self.client_quotas().cloned().map(KeptRecord::ClientQuota).map(Record::Kept)
    }

    pub(super) fn security_records(&self) -> impl Iterator<Item = Record> {
        let acls = self.acls().cloned().map(KeptRecord::Acl);
        let credentials = self.scram_credentials().cloned().map(KeptRecord::ScramCredential);
        let tokens = self.delegation_tokens().cloned().map(KeptRecord::DelegationToken);
        acls.chain(credentials).chain(tokens).map(Record::Kept)
    }
}

fn entity_of(quota: &ClientQuotaRecord) -> QuotaEntity {
    let mut entity: QuotaEntity =
        quota.entity.iter().map(|part| (part.entity_type.clone(), part.entity_name.clone())).collect();
    entity.sort_unstable();
    entity
}

impl KeptRecord {
    /// All of them have version 0.
    pub(crate) fn into_wire(self) -> MetadataRecord {
        match self {
            KeptRecord::Acl(record) => MetadataRecord::AccessControlEntryRecord(record),
            KeptRecord::RemoveAcl(record) => MetadataRecord::RemoveAccessControlEntryRecord(record),
            KeptRecord::ScramCredential(record) => MetadataRecord::UserScramCredentialRecord(record),
            KeptRecord::RemoveScramCredential(record) => MetadataRecord::RemoveUserScramCredentialRecord(record),
            KeptRecord::ClientQuota(record) => MetadataRecord::ClientQuotaRecord(record),
            KeptRecord::DelegationToken(record) => MetadataRecord::DelegationTokenRecord(record),
            KeptRecord::RemoveDelegationToken(record) => MetadataRecord::RemoveDelegationTokenRecord(record),
        }
    }
}
