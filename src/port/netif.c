// SPDX-License-Identifier: Apache-2.0
#include "port/netif.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"

int netif_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static int request(int socket, unsigned long what, const char *name, struct ifreq *ifr)
{
	strncpy(ifr->ifr_name, name, IFNAMSIZ - 1);
	ifr->ifr_name[IFNAMSIZ - 1] = '\0';
	return ioctl(socket, what, ifr) < 0 ? -errno : 0;
}

int netif_up(int socket, const char *name)
{
	struct ifreq ifr = {0};
	int status = request(socket, SIOCGIFFLAGS, name, &ifr);
	if (status || ifr.ifr_flags & IFF_UP)
		return status;
	ifr.ifr_flags |= IFF_UP;
	return request(socket, SIOCSIFFLAGS, name, &ifr);
}

int netif_state(int socket, const char *name, bool *up, bool *running)
{
	struct ifreq ifr = {0};
	int status = request(socket, SIOCGIFFLAGS, name, &ifr);
	if (status)
		return status;
	*up = ifr.ifr_flags & IFF_UP;
	*running = ifr.ifr_flags & IFF_RUNNING;
	return 0;
}

int netif_mac(int socket, const char *name, struct option_mac *mac)
{
	struct ifreq ifr = {0};
	int status = request(socket, SIOCGIFHWADDR, name, &ifr);
	if (status)
		return status;
	memcpy(mac->octets, ifr.ifr_hwaddr.sa_data, sizeof(mac->octets));
	mac->given = ifr.ifr_hwaddr.sa_family == ARPHRD_ETHER;
	return 0;
}

int netif_mtu(int socket, const char *name, int *mtu)
{
	struct ifreq ifr = {0};
	int status = request(socket, SIOCGIFMTU, name, &ifr);
	if (!status)
		*mtu = ifr.ifr_mtu;
	return status;
}

int netif_set_mtu(int socket, const char *name, int mtu)
{
	struct ifreq ifr = {.ifr_mtu = mtu};
	return request(socket, SIOCSIFMTU, name, &ifr);
}

uint32_t netif_queues(int socket, const char *name)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq ifr = {.ifr_data = (void *)&channels};
	if (request(socket, SIOCETHTOOL, name, &ifr))
		return 1;
	uint32_t queues = channels.combined_count + channels.rx_count;
	return queues ? queues : 1;
}

int netif_check_name(const char *name, struct error *err)
{
	size_t size = strlen(name);
	if (!size)
		return error_set(err, EINVAL, "the name of an interface is missing");
	if (size >= IFNAMSIZ)
		return error_set(err, EINVAL, "interface name “%.32s” is longer than %d bytes",
		        name, IFNAMSIZ - 1);
	if (strpbrk(name, "/: \t\n%") || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return error_set(err, EINVAL, "“%s” cannot be the name of an interface", name);
	return 0;
}

static int tap_attach(int fd, const char *name, struct error *err)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int status = request(fd, TUNSETIFF, name, &ifr);
	if (status == -EPERM)
		return error_set(err, EPERM,
		        "cannot make tap %s: this needs the capability CAP_NET_ADMIN "
		        "(run as root, or use gen or pcap ports)",
		        name);
	if (status == -EBUSY)
		return error_set(err, EBUSY, "tap %s is in use by another process", name);
	if (status == -EINVAL)
		return error_set(err, EBUSY,
		        "an interface %s exists and is not a free tap: name another one", name);
	if (status)
		return error_set(err, -status, "cannot make tap %s: %s", name, strerror(-status));
	return 0;
}

static int tap_configure(const char *name, const struct option_mac *mac, int mtu, struct error *err)
{
	autoclose int socket = netif_socket();
	struct ifreq ifr = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};
	if (mac && mac->given) {
		memcpy(ifr.ifr_hwaddr.sa_data, mac->octets, sizeof(mac->octets));
		int status = request(socket, SIOCSIFHWADDR, name, &ifr);
		if (status)
			return error_set(err, -status, "tap %s does not take its MAC address: %s",
			        name, strerror(-status));
	}
	if (mtu)
		netif_set_mtu(socket, name, mtu); // best effort: some values are not for taps
	int status = netif_up(socket, name);
	if (status)
		return error_set(
		        err, -status, "cannot bring tap %s up: %s", name, strerror(-status));
	return 0;
}

int netif_tap(const char *name, const struct option_mac *mac, int mtu, int *out, struct error *err)
{
	autoclose int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return error_set(err, errno, "/dev/net/tun: %s%s", strerror(errno),
		        errno == ENOENT || errno == ENODEV ? " (load the kernel module tun)"
		        : errno == EACCES || errno == EPERM
		                ? " (run as root, or use gen or pcap ports)"
		                : "");
	int status = netif_check_name(name, err);
	if (!status)
		status = tap_attach(fd, name, err);
	if (!status)
		status = tap_configure(name, mac, mtu, err);
	if (!status)
		*out = TAKE_FD(fd);
	return status;
}
