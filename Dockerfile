# acre as a container image: the static binary, the certificates to trust, and nothing else. scripts/build-image.sh puts
# root.tar together and builds it, without a registry.
FROM scratch
ADD root.tar /
ENV ACRE_DATA=/var/lib/acre ACRE_HTTP=:5000 ACRE_HTTPS=:5443
USER 65532:65532
VOLUME /var/lib/acre
EXPOSE 5000 5443
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s CMD ["/usr/bin/acre", "admin", "ready"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/acre"]
CMD ["serve"]
