/*
 * The floor: a UDP echo. One system call receives a datagram, one sends it back with the QR bit set,
 * so that a DNS client takes it for an answer. No batching (recvmmsg), no parsing, no lookup: what is
 * left is the cost of the kernel's UDP path and of two system calls, which every server pays.
 *
 * usage: echo PORT        listens on 127.0.0.1:PORT until killed
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    unsigned char packet[65535];
    struct sockaddr_in self = {.sin_family = AF_INET};
    struct sockaddr_in peer;
    int socket_fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (argc != 2) {
        fprintf(stderr, "usage: echo PORT\n");
        return 2;
    }
    self.sin_port = htons((unsigned short)atoi(argv[1]));
    self.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (socket_fd < 0 || bind(socket_fd, (struct sockaddr *)&self, sizeof self) < 0) {
        perror("echo");
        return 1;
    }
    for (;;) {
        socklen_t peer_length = sizeof peer;
        ssize_t length = recvfrom(socket_fd, packet, sizeof packet, 0, (struct sockaddr *)&peer, &peer_length);
        if (length < 12) /* shorter than a DNS header (RFC 1035 section 4.1.1) */
            continue;
        packet[2] |= 0x80;
        sendto(socket_fd, packet, (size_t)length, 0, (struct sockaddr *)&peer, peer_length);
    }
}
