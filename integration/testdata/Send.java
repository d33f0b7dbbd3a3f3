import jakarta.mail.Message;
import jakarta.mail.Session;
import jakarta.mail.internet.InternetAddress;
import jakarta.mail.internet.MimeMessage;
import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.Properties;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Sends a message by each of the ways that the arguments name: HOST CA TO, then WAY PORT FROM for each. */
public class Send {
    public static void main(String[] args) throws Exception {
        String host = args[0], ca = args[1], to = args[2];
        for (int i = 3; i < args.length; i += 3) {
            send(host, ca, to, args[i], args[i + 1], args[i + 2]);
        }
    }

    static void send(String host, String ca, String to, String way, String port, String from) throws Exception {
        boolean implicit = way.equals("implicit"), clear = way.equals("plain"), auth = way.equals("auth");
        String p = implicit ? "mail.smtps." : "mail.smtp.";
        Properties props = new Properties();
        props.put("mail.transport.protocol", implicit ? "smtps" : "smtp");
        props.put(p + "host", host);
        props.put(p + "port", port);
        props.put(p + "starttls.required", String.valueOf(!implicit && !clear));
        props.put(p + "ssl.checkserveridentity", "true");
        props.put(p + "ssl.socketFactory", trust(ca).getSocketFactory());
        props.put(p + "auth", String.valueOf(auth));
        Session session = Session.getInstance(props);
        MimeMessage message = new MimeMessage(session);
        message.setFrom(new InternetAddress(from));
        message.setRecipients(Message.RecipientType.TO, to);
        message.setSubject("matrix");
        message.setText("one\n.\n..two");
        message.saveChanges();
        try (var transport = session.getTransport()) {
            if (auth) transport.connect("ann", "secret"); else transport.connect();
            transport.sendMessage(message, message.getAllRecipients());
        }
    }

    static SSLContext trust(String ca) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (var in = new FileInputStream(ca)) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        var trusted = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trusted.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trusted.getTrustManagers(), null);
        return context;
    }
}
