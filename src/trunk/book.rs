//! All trunks, and which of them a message belongs to. Plain data.

use std::net::IpAddr;
use std::sync::Arc;

use super::file::Trunk;
use super::route::CallFacts;
use crate::wire::sip::Message;

/// All trunks, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Book {
    trunks: Vec<Arc<Trunk>>,
}

impl Book {
    /// A book of these.
    #[must_use]
    pub fn new(trunks: Vec<Trunk>) -> Self {
        Self { trunks: trunks.into_iter().map(Arc::new).collect() }
    }

    /// Every trunk.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Trunk>> {
        self.trunks.iter()
    }

    /// The trunk with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Trunk>> {
        self.trunks.iter().find(|trunk| trunk.id == id)
    }

    /// May anything come from there?
    #[must_use]
    pub fn knows(&self, ip: IpAddr) -> bool {
        self.trunks.iter().any(|trunk| trunk.inbound.addresses.iter().any(|cidr| cidr.holds(ip)))
    }

    /// The trunk of an INVITE from there: of those that the address may use, one that names the domain before one that names none.
    #[must_use]
    pub fn of(&self, ip: IpAddr, domain: &str) -> Option<&Arc<Trunk>> {
        let mine = || self.trunks.iter().filter(|t| t.inbound.addresses.iter().any(|cidr| cidr.holds(ip)));
        mine()
            .find(|trunk| !trunk.inbound.domain.is_empty() && trunk.inbound.domain.eq_ignore_ascii_case(domain))
            .or_else(|| mine().find(|trunk| trunk.inbound.domain.is_empty()))
    }
}

impl Trunk {
    /// The bot that a call reaches; `None`: nobody is at that number.
    #[must_use]
    pub fn bot_for<'a>(&'a self, facts: &CallFacts, invite: &Message) -> Option<&'a str> {
        let routed =
            self.inbound.route.iter().find(|route| route.takes(&facts.to, invite)).map(|route| route.bot.as_str());
        routed.or(Some(self.inbound.bot.as_str()).filter(|bot| !bot.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trunk(id: &str, address: &str, domain: &str) -> Trunk {
        let mut trunk = Trunk { id: id.to_owned(), ..Trunk::default() };
        trunk.inbound.addresses = vec![address.to_owned().try_into().unwrap()];
        trunk.inbound.domain = domain.to_owned();
        trunk
    }

    #[test]
    fn the_domain_tells_trunks_of_one_address_apart() {
        let book = Book::new(vec![
            trunk("any", "192.0.2.0/24", ""),
            trunk("sales", "192.0.2.1", "sales.example"),
            trunk("six", "2001:db8::/32", ""),
        ]);
        let of = |ip: &str, domain: &str| book.of(ip.parse().unwrap(), domain).map(|trunk| trunk.id.clone());
        assert_eq!(of("192.0.2.1", "SALES.example").as_deref(), Some("sales"));
        assert_eq!(of("192.0.2.1", "other").as_deref(), Some("any"));
        assert_eq!(of("192.0.2.2", "sales.example").as_deref(), Some("any"));
        assert_eq!(of("2001:db8:1::5", "").as_deref(), Some("six"));
        assert_eq!(of("198.51.100.1", ""), None);
        assert!(!book.knows("198.51.100.1".parse().unwrap()));
    }
}
